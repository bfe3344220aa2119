import pg from 'pg';
import {
  alternating,
  type Bench,
  type Measurement,
  type Percentiles,
  runLoad,
  type Scenario,
  untilNothingIsDue,
  withSide,
} from '../lib/bench.ts';
import { posthorn, SECRET } from '../lib/sides.ts';

const SCENARIO = 'burst';
const RATE = 20;
const BURST = 100_000;
const BATCH = 1_000;

export const burst: Scenario = {
  name: SCENARIO,
  once: true,
  what: `${RATE} webhooks a second to one receiver: alone, and while ${BURST.toLocaleString('en')} webhooks that were sent at once go to another receiver`,
  run: (bench) =>
    alternating(
      bench,
      [0, bench.quick ? 5_000 : BURST].map((size) => [
        sideOf(size),
        (round) => measure(bench, round, size),
      ]),
    ),
};

const sideOf = (size: number) => (size === 0 ? 'without a burst' : 'beside a burst');

async function measure(bench: Bench, round: number, size: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    const small = await running.subscribe(bench.receiverUrl('/latency'));
    await running.subscribe(bench.receiverUrl('/ok'), ['big.event']);
    const load = {
      port: running.port,
      paths: [small],
      secret: SECRET,
      bodyBytes: 490,
      connections: 8,
      rate: RATE,
      stamped: true,
    };
    await runLoad({ ...load, durationMs: 500 });
    await untilNothingIsDue(running);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    const sending = sendAtOnce(running.databaseUrl, size);
    const { accepted, startedAt, endedAt } = await runLoad({
      ...load,
      durationMs: bench.seconds * 1_000,
    });
    await sending;
    await untilNothingIsDue(running);
    const reached = await bench.receiver.call<Percentiles>('latencies');
    return {
      scenario: SCENARIO,
      side: sideOf(size),
      round,
      perSecond: (accepted / (endedAt - startedAt)) * 1000,
      latencyMs: { p50: reached.p50, p95: reached.p95, p99: reached.p99 },
      loop: 'open',
    };
  });
}

/** Sends many webhooks in SQL, a thousand in each statement, as a tenant that notifies all its customers. */
async function sendAtOnce(databaseUrl: string, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (let sent = 0; sent < count; sent += BATCH) {
      await client.query(
        `select posthorn.send_many(array_fill('big.event'::text, array[$1::integer]),
           array_fill(jsonb_build_object('note', repeat('x', 400)), array[$1::integer]))`,
        [BATCH],
      );
    }
  } finally {
    await client.end();
  }
}
