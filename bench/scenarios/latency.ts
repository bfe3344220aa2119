import {
  alternating,
  type Bench,
  type Measurement,
  type Percentiles,
  runLoad,
  type Scenario,
  untilNothingIsDue,
  untilReceived,
  warmUp,
  withSide,
} from '../lib/bench.ts';
import { ordinary, posthorn, SECRET, type Side } from '../lib/sides.ts';

const RATE = 200;

export const latency: Scenario = {
  name: 'latency',
  what: `${RATE} webhooks a second in an open loop: the time from sending a request until the first byte of its webhook reaches the receiver`,
  run: (bench) =>
    alternating(
      bench,
      [ordinary, posthorn].map((side) => [side.name, (round) => measure(bench, side, round)]),
    ),
};

async function measure(bench: Bench, side: Side, round: number): Promise<Measurement> {
  return await withSide(bench, side, {}, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/latency'));
    await warmUp(bench, running, path);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    const { accepted } = await runLoad({
      port: running.port,
      paths: [path],
      secret: SECRET,
      bodyBytes: 490,
      connections: 64,
      durationMs: bench.seconds * 1000,
      rate: RATE,
      stamped: true,
    });
    await untilReceived(bench, accepted);
    const latencyMs = await bench.receiver.call<Percentiles>('latencies');
    await untilNothingIsDue(running);
    return {
      scenario: 'latency',
      side: side.name,
      round,
      perSecond: null,
      latencyMs,
      loop: 'open',
    };
  });
}
