import pg from 'pg';
import t from 'tap';
import { countMinute } from '../../src/history/count.sql.ts';
import { readStats } from '../../src/history/stats.ts';
import { readFromCounts } from '../../src/history/stats-from-counts.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { openExplaining } from '../helpers/explain.ts';
import { until } from '../helpers/until.ts';

const MANY = 20_000;
/** SQL condition: `a` is of the tenant `$2`, and of the subscription `$3`, if that is not null. */
const OWN = `a.subscription_id in (select id from posthorn.subscriptions where tenant = $2 and ($3::integer is null or id = $3))`;

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

t.test('figures from counts are those of history, wherever a window begins', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  t.teardown(() => pool.end());
  await client.query(`
    set timezone = 'UTC';
    select posthorn.ensure_partitions(current_date - 5, current_date + 1, 1);
    insert into posthorn.tenants (id) values ('other');
    insert into posthorn.subscriptions (url, tenant, event_types)
    values ('https://a.example', 'default', '{}'), ('https://b.example', 'default', '{}'), ('https://c.example', 'other', '{}');
    -- Bursts of a minute, since each minute is counted by itself; some of them before counting began.
    create temporary table made as
    select now() - minutes * interval '1 minute' + random() * interval '1 minute' as at, 1 + n % 3 as subscription_id, n
    from unnest('{2,3,4,9,20,59,60,61,89,90,91,300,1438,1439,1440,1441,2819,2820,2821,4000,5000,6000}'::integer[]) as minutes,
      generate_series(1, 90) n;
    alter table made add id uuid;
    update made set id = overlay(posthorn.uuidv7()::text placing left(posthorn.uuidv7_floor(at)::text, 13) from 1 for 13)::uuid;
    insert into posthorn.webhook_payloads (id, accepted_at, tenant, event_type, content_type, body)
    select id, at, case subscription_id when 3 then 'other' else 'default' end, 'a', 'application/json', '{}' from made;
    insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at)
    select id, subscription_id, 'succeeded', 1, null, at from made;
    insert into posthorn.delivery_attempts (at, webhook_id, subscription_id, attempt_number, status, duration_ms)
    select at, id, subscription_id, 1,
      (case when n % 5 = 0 then 'failed' when n % 7 = 0 then 'timeout' else 'success' end)::posthorn.attempt_status, n
    from made;
    update posthorn.counting set counted_from = date_trunc('minute', now() - interval '70 hours') + interval '7 minutes',
      counted_until = date_trunc('minute', now() - interval '70 hours') + interval '7 minutes'`);
  await until('all but the last minutes are counted', async () => {
    await client.query('select posthorn.mark_commits()');
    while (await countMinute(pool));
    const { rows } = await client.query<{ is_late: boolean }>(
      `select counted_until < now() - interval '8 minutes' as is_late from posthorn.counting`,
    );
    return !rows[0]?.is_late;
  });
  const { rows: known } = await client.query<{ from: string; until: string }>(
    'select counted_from::text as from, counted_until::text as until from posthorn.counting',
  );
  const [counted] = known as [(typeof known)[0]];
  const asked = [
    ['default', null],
    ['other', null],
    ['default', 2],
    // Another tenant's.
    ['other', 2],
  ] as const;
  for (const minutes of [1, 5, 59, 60, 90, 91.5, 1440, 1441, 2820.3, 4000, 5999, 7000])
    for (const [tenant, subscription] of asked) {
      await pool.query('begin');
      const windowMs = minutes * 60_000;
      const figures = await readFromCounts(pool, tenant, subscription, windowMs, true, counted);
      const { rows } = await pool.query(
        `select
           (select count(*) from posthorn.delivery_attempts a where a.at >= since and ${OWN})::integer as attempts,
           (select count(*) from posthorn.delivery_attempts a where a.at >= since and ${OWN} and a.status = 'success')::integer as succeeded,
           (select count(*) from posthorn.deliveries a where a.webhook_id >= posthorn.uuidv7_floor(since) and ${OWN})::integer as accepted
         from (select now() - $1 * interval '1 millisecond' as since) as w`,
        [windowMs, tenant, subscription],
      );
      await pool.query('rollback');
      t.match(figures, rows[0], `${minutes} minutes of ${subscription ?? tenant}`);
      if (figures.attempts > 0)
        t.ok(
          (figures.p50 ?? 0) > 30 &&
            (figures.p99 ?? 0) < 100 &&
            (figures.p95 ?? 0) > (figures.p50 ?? 0),
        );
    }
});
