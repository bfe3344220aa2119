import {
  type Arrivals,
  alternating,
  type Bench,
  costOf,
  type Measurement,
  percentilesOf,
  runLoad,
  type Scenario,
  untilNothingIsDue,
  untilReceived,
  withSide,
} from '../lib/bench.ts';
import { posthorn, SECRET } from '../lib/sides.ts';
import type { LoadResult } from '../programs/load.ts';

const SCENARIO = 'fan-out';

export const fanOut: Scenario = {
  name: SCENARIO,
  what: 'Each webhook goes to 10 or to 100 subscriptions, at full load: deliveries a second, until the last one has arrived, and the time from the 202 until the first of its deliveries reaches a receiver',
  run: (bench) =>
    alternating(
      bench,
      [10, 100].map((count) => [
        `to ${count} subscriptions`,
        (round) => measure(bench, round, count),
      ]),
    ),
};

async function measure(bench: Bench, round: number, count: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    for (let n = 0; n < count; n++)
      await running.subscribe(bench.receiverUrl('/arrivals'), ['order.created']);
    const load = {
      port: running.port,
      paths: ['/v1/webhooks'],
      secret: SECRET,
      bodyBytes: 490,
      connections: 64,
      stamped: true,
    };
    await runLoad({ ...load, durationMs: 500 });
    await untilNothingIsDue(running);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    let perSecond = 0;
    let latencyMs = { p50: 0, p95: 0, p99: 0 };
    const cost = await costOf(bench, running, async () => {
      // The same number of deliveries for each fan-out.
      const { accepted, startedAt, accepts } = await runLoad({
        ...load,
        durationMs: 60_000,
        count: (bench.seconds * 10_000) / count,
        keepAccepts: true,
      });
      const lastAt = await untilReceived(bench, accepted * count);
      perSecond = ((accepted * count) / (lastAt - startedAt)) * 1000;
      latencyMs = percentilesOf(untilFirst(accepts, await bench.receiver.call('arrivals')));
      return accepted * count;
    });
    return {
      scenario: SCENARIO,
      side: `to ${count} subscriptions`,
      round,
      perSecond,
      latencyMs,
      loop: 'closed',
      ...cost,
    };
  });
}

/** Returns, for each webhook, the microseconds from its 202 until its first delivery arrived. */
function untilFirst(accepts: LoadResult['accepts'], arrivals: Arrivals): number[] {
  // Arrivals are in the order of time, so the last one to be set is the first that arrived.
  const first = new Map(arrivals.toReversed());
  // A delivery can arrive before the load generator has read the 202.
  return accepts.map(([sentAt, acceptedAt]) =>
    Math.max(0, (first.get(sentAt) as number) - acceptedAt),
  );
}
