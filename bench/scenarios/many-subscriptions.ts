import pg from 'pg';
import {
  alternating,
  type Bench,
  type Measurement,
  type Scenario,
  withSide,
} from '../lib/bench.ts';
import { posthorn, SECRET } from '../lib/sides.ts';
import { measureWholePathOf } from '../lib/whole-path.ts';

const SCENARIO = 'many subscriptions';

export const manySubscriptions: Scenario = {
  name: SCENARIO,
  what: 'The whole path, spread over 20 subscriptions and over 20,000',
  run: (bench) =>
    alternating(
      bench,
      [20, bench.quick ? 2_000 : 20_000].map((count) => [
        `${count.toLocaleString('en')} subscriptions`,
        (round) => measure(bench, round, count),
      ]),
    ),
};

async function measure(bench: Bench, round: number, count: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    const client = new pg.Client({ connectionString: running.databaseUrl });
    await client.connect();
    const { rows } = await client.query<{ id: number }>(
      `insert into posthorn.subscriptions (url, secret, event_types)
       select $1, $2, '{}' from generate_series(1, $3)
       returning id`,
      [bench.receiverUrl('/ok'), SECRET, count],
    );
    await client.end();
    const paths = rows.map(({ id }) => `/ingest/${id}`);
    const options = { scenario: SCENARIO, as: `${count.toLocaleString('en')} subscriptions` };
    // The first pass fills the caches, so that the second one does not measure a cold start.
    await measureWholePathOf(bench, running, paths, round, options);
    return await measureWholePathOf(bench, running, paths, round, options);
  });
}
