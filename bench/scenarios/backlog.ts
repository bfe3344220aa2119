import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  alternating,
  type Bench,
  costOf,
  type Measurement,
  type Percentiles,
  runLoad,
  type Scenario,
  untilReceived,
  warmUp,
  withSide,
} from '../lib/bench.ts';
import { fillHeld } from '../lib/fill.ts';
import { type Program, startProgram } from '../lib/processes.ts';
import { posthorn, type Running, SECRET } from '../lib/sides.ts';
import { type Watched, watch } from '../lib/watch.ts';

const SCENARIO = 'backlog';
const HELD = 1_000_000;
const OTHERS = 20;
const RATE = 500;
/** The receiver that is back takes 20 requests at once, 20 ms each: 1,000 a second. */
const AT_ONCE = 20;
const EACH_MS = 20;
/** Short times, so that Posthorn soon finds the receiver down, or back. By default a probe can take five minutes. */
const ENV = {
  POSTHORN_CIRCUIT: 'failures=10,over=1s,probe=500ms,max=1s',
  POSTHORN_DELIVERY_TIMEOUT: '5s',
};

export const backlog: Scenario = {
  name: SCENARIO,
  once: true,
  what: `The whole path to ${OTHERS} receivers: without a backlog; while ${HELD.toLocaleString('en')} deliveries are held for another receiver, which refuses connections; and while that receiver is back and takes ${(AT_ONCE / EACH_MS) * 1000} a second`,
  async run(bench) {
    const dead = startProgram('receiver.ts');
    try {
      const deadUrl = `http://127.0.0.1:${await dead.call<number>('port')}/back`;
      await dead.call('die');
      return await withSide(bench, posthorn, { env: ENV }, async (plain) => {
        const plainPaths = await subscribeOthers(bench, plain);
        return await withSide(bench, posthorn, { env: ENV }, async (running) => {
          const paths = await subscribeOthers(bench, running);
          const open = await openCircuit(running, await running.subscribe(deadUrl));
          bench.say('filling the backlog');
          await fillHeld(running.databaseUrl, open.id, bench.quick ? 20_000 : HELD);
          const measured = await alternating(bench, [
            ['without', (round) => measure(bench, plain, plainPaths, round, 'without a backlog')],
            [
              'held',
              (round) => measure(bench, running, paths, round, 'beside a backlog of 1,000,000'),
            ],
            ['draining', (round) => measureDraining(bench, running, paths, round, dead, open)],
          ]);
          await open.stop();
          return measured;
        });
      });
    } finally {
      await dead.stop();
    }
  },
};

interface Circuit {
  readonly id: number;
  untilOpen(): Promise<void>;
  stop(): Promise<void>;
}

async function subscribeOthers(bench: Bench, running: Running): Promise<string[]> {
  const paths: string[] = [];
  for (let n = 0; n < OTHERS; n++)
    paths.push(await running.subscribe(bench.receiverUrl('/latency')));
  for (const path of paths.slice(0, 2)) await warmUp(bench, running, path);
  return paths;
}

/** Sends to a receiver that is down until its circuit is open. */
async function openCircuit(running: Running, path: string): Promise<Circuit> {
  const client = new pg.Client({ connectionString: running.databaseUrl });
  await client.connect();
  const id = Number(path.split('/').at(-1));
  await runLoad({
    port: running.port,
    paths: [path],
    secret: SECRET,
    bodyBytes: 490,
    connections: 4,
    durationMs: 60_000,
    count: 100,
  });
  const untilOpen = async () => {
    const open = 'select from posthorn.subscriptions where id = $1 and circuit_open';
    while ((await client.query(open, [id])).rowCount === 0) await sleep(100);
  };
  await untilOpen();
  return { id, untilOpen, stop: () => client.end() };
}

const loadOf = (running: Running, paths: readonly string[]) => ({
  port: running.port,
  paths,
  secret: SECRET,
  bodyBytes: 490,
  stamped: true,
});

/** Measures the throughput in a closed loop, and the latencies in an open loop. */
async function measure(
  bench: Bench,
  running: Running,
  paths: readonly string[],
  round: number,
  side: string,
): Promise<Measurement> {
  await bench.receiver.call('reset');
  await bench.postgres.settle();
  const watching = await watch(running.databaseUrl, running.pid, 250);
  let perSecond = 0;
  const cost = await costOf(bench, running, async () => {
    const load = await runLoad({
      ...loadOf(running, paths),
      connections: 64,
      durationMs: bench.seconds * 1000,
    });
    const lastAt = await untilReceived(bench, load.accepted);
    perSecond = (load.accepted / (lastAt - load.startedAt)) * 1000;
    return load.accepted;
  });
  const { latencyMs } = await openLoop(bench, running, paths);
  const { mostJobs } = await watching.stop();
  return {
    scenario: SCENARIO,
    side,
    round,
    perSecond,
    latencyMs,
    loop: 'open',
    ...cost,
    facts: { mostJobs },
    note: `at most ${mostJobs} jobs in the queue`,
  };
}

/** Sends to the other receivers in an open loop, and returns their webhooks a second and latencies. */
async function openLoop(bench: Bench, running: Running, paths: readonly string[]) {
  await bench.receiver.call('reset');
  const { accepted, startedAt, endedAt } = await runLoad({
    ...loadOf(running, paths),
    connections: 32,
    durationMs: bench.seconds * 1000,
    rate: RATE,
  });
  const { received } = await bench.receiver.call<{ received: number }>('received');
  await untilReceived(bench, accepted);
  const { p50, p95, p99 } = await bench.receiver.call<Percentiles>('latencies');
  return { perSecond: (received / (endedAt - startedAt)) * 1000, latencyMs: { p50, p95, p99 } };
}

interface Revived {
  readonly received: number;
  readonly twice: number;
  readonly furthestOutOfTurn: number;
  readonly mostOpen: readonly number[];
}

/** Measures the other receivers, and the backlog, while the receiver is back. */
async function measureDraining(
  bench: Bench,
  running: Running,
  paths: readonly string[],
  round: number,
  dead: Program,
  { untilOpen }: Circuit,
): Promise<Measurement> {
  await bench.postgres.settle();
  const watching = await watch(running.databaseUrl, running.pid, 250);
  await dead.call('revive', AT_ONCE, EACH_MS);
  const isBack = async () => (await dead.call<Revived>('revived')).received > 0;
  while (!(await isBack())) await sleep(20);
  const startedAt = performance.now();
  let others = { perSecond: 0, latencyMs: { p50: 0, p95: 0, p99: 0 } };
  const { peakMemoryMiB } = await costOf(bench, running, async () => {
    others = await openLoop(bench, running, paths);
    return others.perSecond * bench.seconds;
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const drained = await dead.call<Revived>('revived');
  await dead.call('die');
  const seen = await watching.stop();
  await untilOpen();
  const first = drained.mostOpen.findIndex((most) => most > 0);
  const open = drained.mostOpen.slice(first);
  // By then, Posthorn has found how many requests the receiver can use.
  const settled = open.slice(open.length >> 1).toSorted((a, b) => a - b);
  const facts = {
    drainedPerSecond: drained.received / seconds,
    othersPerSecond: others.perSecond,
    openInFirstHalfSecond: Math.max(0, ...open.slice(0, 2)),
    mostOpen: Math.max(0, ...open),
    openInTheEnd: settled[settled.length >> 1] ?? 0,
    furthestOutOfTurn: drained.furthestOutOfTurn,
    mostJobs: seen.mostJobs,
  };
  return {
    scenario: SCENARIO,
    side: 'while the backlog is sent',
    round,
    perSecond: null,
    latencyMs: others.latencyMs,
    loop: 'open',
    peakMemoryMiB: peakMemoryMiB as number,
    facts,
    note: noteOf(facts, drained, seen),
  };
}

function noteOf(facts: Record<string, number>, { twice }: Revived, { memoryMiB }: Watched): string {
  const whole = (name: string) => Math.round(facts[name] ?? 0).toLocaleString('en');
  return [
    `${whole('drainedPerSecond')} deliveries a second from the backlog, ${whole('othersPerSecond')} of ${RATE} a second to the others`,
    `requests in flight: at most ${whole('openInFirstHalfSecond')} in the first half second, at most ${whole('mostOpen')} in all, typically ${whole('openInTheEnd')} in the second half of the time`,
    `at most ${whole('furthestOutOfTurn')} places out of order, ${twice} sent twice`,
    `at most ${whole('mostJobs')} jobs in the queue`,
    `${memoryMiB[0]} MiB of memory at the beginning, ${memoryMiB.at(-1)} MiB at the end`,
  ].join('; ');
}
