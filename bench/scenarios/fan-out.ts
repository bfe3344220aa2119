import {
  alternating,
  type Bench,
  costOf,
  type Measurement,
  runLoad,
  type Scenario,
  untilNothingIsDue,
  untilReceived,
  withSide,
} from '../lib/bench.ts';
import { posthorn, SECRET } from '../lib/sides.ts';

const SCENARIO = 'fan-out';

export const fanOut: Scenario = {
  name: SCENARIO,
  what: 'Each webhook goes to 10 or to 100 subscriptions: deliveries a second, until the last one has arrived',
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
      await running.subscribe(bench.receiverUrl('/ok'), ['order.created']);
    const load = {
      port: running.port,
      paths: ['/v1/webhooks'],
      secret: SECRET,
      bodyBytes: 490,
      connections: 16,
    };
    await runLoad({ ...load, durationMs: 500 });
    await untilNothingIsDue(running);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    let perSecond = 0;
    const cost = await costOf(bench, running, async () => {
      // The same number of deliveries for each fan-out.
      const { accepted, startedAt } = await runLoad({
        ...load,
        durationMs: 60_000,
        count: (bench.seconds * 10_000) / count,
      });
      const lastAt = await untilReceived(bench, accepted * count);
      perSecond = ((accepted * count) / (lastAt - startedAt)) * 1000;
      return accepted * count;
    });
    return { scenario: SCENARIO, side: `to ${count} subscriptions`, round, perSecond, ...cost };
  });
}
