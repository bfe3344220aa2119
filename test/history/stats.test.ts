import t from 'tap';
import { readStats } from '../../src/history/stats.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { openExplaining } from '../helpers/explain.ts';

const MANY = 20_000;

t.test('figures cost the same however many subscriptions the tenant has', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`load 'auto_explain'`).catch((error: Error) => {
    t.plan(0, `Postgres shows no plans: ${error.message}`);
    process.exit();
  });
  await client.query(`insert into posthorn.tenants (id) values ('many')`);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, event_types)
     select 'http://127.0.0.1:9/', 'many', '{}' from generate_series(1, $1::integer)`,
    [MANY],
  );
  await client.query(
    `with made as (
       select posthorn.uuidv7() as id, s.id as subscription_id from posthorn.subscriptions s order by s.id limit 10
     ), delivered as (
       insert into posthorn.deliveries (webhook_id, subscription_id) select id, subscription_id from made
     )
     insert into posthorn.delivery_attempts (webhook_id, subscription_id, attempt_number, status, duration_ms)
     select id, subscription_id, 1, 'failed', 7 from made`,
  );
  await client.query('analyze');
  for (const mode of ['generic', 'custom'] as const) {
    const explaining = await openExplaining(databaseUrl, {}, mode);
    try {
      const { explained } = await explaining.run(async (pool) => {
        t.match(await readStats(pool, 'many', null, 60_000), {
          attempts: 10,
          queue_depth: 10,
          p50: 7,
        });
      });
      const read = explained
        .flatMap(({ scans }) => scans)
        .reduce((rows, scan) => rows + scan.rows, 0);
      t.ok(read < 1_000, `${read} rows are read, by ${mode} plans`);
    } finally {
      await explaining.end();
    }
  }
});
