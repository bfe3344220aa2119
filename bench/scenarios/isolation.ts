import {
  alternating,
  type Bench,
  costOf,
  type Measurement,
  type Percentiles,
  runLoad,
  type Scenario,
  withSide,
} from '../lib/bench.ts';
import { startProgram } from '../lib/processes.ts';
import { posthorn, SECRET } from '../lib/sides.ts';
import { heldIn, type Watched, watch } from '../lib/watch.ts';

const SCENARIO = 'isolation';
const RATE = 500;
const SUBSCRIPTIONS = 20;
/** Sides without hanging receivers are measured for a minute at most, even with `--seconds 300`. */
const ALONE_MS = 60_000;

export const isolation: Scenario = {
  name: SCENARIO,
  what: `${RATE} webhooks a second to ${SUBSCRIPTIONS} healthy receivers: alone; beside ${RATE} a second to ${SUBSCRIPTIONS} further healthy receivers; and beside ${RATE} a second to ${SUBSCRIPTIONS} receivers that accept connections and never answer`,
  run: (bench) =>
    alternating(
      bench,
      Object.entries(OTHERS).map(([side, path]) => [
        side,
        (round) => measure(bench, round, side, path),
      ]),
    ),
};

/** Where the other half of the traffic goes. */
const OTHERS: Record<string, string | null> = {
  'healthy receivers alone': null,
  'beside healthy receivers': '/ok',
  'beside hanging receivers': '/hang',
};

async function measure(
  bench: Bench,
  round: number,
  side: string,
  othersPath: string | null,
): Promise<Measurement> {
  const hung = othersPath === '/hang';
  return await withSide(bench, posthorn, {}, async (running) => {
    const subscribe = async (path: string) => {
      const paths: string[] = [];
      for (let n = 0; n < SUBSCRIPTIONS; n++)
        paths.push(await running.subscribe(bench.receiverUrl(path)));
      return paths;
    };
    const healthy = await subscribe('/latency');
    const others = othersPath === null ? [] : await subscribe(othersPath);
    const load = {
      port: running.port,
      secret: SECRET,
      bodyBytes: 490,
      connections: 32,
      durationMs: hung ? bench.seconds * 2_000 : Math.min(bench.seconds * 2_000, ALONE_MS),
      rate: RATE,
      stamped: true,
    };
    await runLoad({ ...load, paths: healthy, durationMs: 500 });
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    const second = startProgram('load.ts');
    const watching = await watch(running.databaseUrl, running.pid, load.durationMs / 100);
    let perSecond = 0;
    let latencyMs: Percentiles = { p50: 0, p95: 0, p99: 0 };
    const cost = await costOf(bench, running, async () => {
      // Both loads start at the same time.
      const noise = others.length > 0 ? second.call('run', { ...load, paths: others }) : undefined;
      const { accepted, startedAt, endedAt } = await runLoad({ ...load, paths: healthy });
      await noise;
      const reached = await bench.receiver.call<Percentiles & { count: number }>('latencies');
      perSecond = (Math.min(reached.count, accepted) / (endedAt - startedAt)) * 1000;
      latencyMs = reached;
      return accepted;
    });
    await second.stop();
    const seen = await watching.stop();
    const held = await heldIn(running.databaseUrl);
    return {
      scenario: SCENARIO,
      side,
      round,
      perSecond,
      latencyMs: { p50: latencyMs.p50, p95: latencyMs.p95, p99: latencyMs.p99 },
      loop: 'open',
      ...cost,
      facts: { mostJobs: seen.mostJobs, held },
      note: noteOf(seen, held),
    };
  });
}

function noteOf({ mostJobs, memoryMiB }: Watched, held: number): string {
  const tenth = Math.ceil(memoryMiB.length / 10);
  const tenths = Array.from({ length: 10 }, (_, nth) => {
    const part = memoryMiB.slice(nth * tenth, (nth + 1) * tenth);
    return Math.round(part.reduce((sum, mib) => sum + mib, 0) / part.length);
  });
  return [
    `average memory in each tenth of the time: ${tenths.join(', ')} MiB`,
    `at most ${mostJobs} jobs in the queue`,
    `${held.toLocaleString('en')} deliveries held at the end`,
  ].join('; ');
}
