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
/** With `--seconds 300` it takes ten minutes, of which the healthy ones alone need not be all. */
const ALONE_MS = 60_000;

export const isolation: Scenario = {
  name: SCENARIO,
  what: `${RATE} webhooks a second to ${SUBSCRIPTIONS} receivers that are well; beside as many again to as many that are well too; and beside as many that accept and never answer`,
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
  'without the other half': null,
  'the other half is well': '/ok',
  'the other half hangs': '/hang',
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
      // From the first second on: both begin at once.
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
    return Math.round(part.reduce((sum, one) => sum + one, 0) / part.length);
  });
  return [
    `resident on average ${tenths.join(', ')} MiB in the tenths of the time`,
    `${mostJobs} jobs in the queue at most`,
    `${held.toLocaleString('en')} held at the end`,
  ].join('; ');
}
