// A tenant with almost all webhooks of a day, half of them failed, and one with none. The planner of Postgres takes a tenant that it does not
// know for an average one, which has almost all rows here.
import type pg from 'pg';
import t from 'tap';
import { type Plans, POOL_PLANS } from '../../src/db/planner.ts';
import { listAttempts } from '../../src/history/attempts.ts';
import { listDeliveries } from '../../src/history/deliveries.ts';
import { summarizeHealth } from '../../src/history/health-summaries.sql.ts';
import { searchOnce } from '../../src/history/search.ts';
import { readSeries } from '../../src/history/series.ts';
import { readStats } from '../../src/history/stats.ts';
import { listWebhooks } from '../../src/history/webhooks.ts';
import { findProblems } from '../../src/why/receiver-problems.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { openExplaining } from '../helpers/explain.ts';

/** Webhooks of the busy tenant, in each of the states. */
const MANY = 20_000;
/** A hundredth of these, for what is read beside. */
const MOST_ROWS = MANY / 100;
const QUIET = 'quiet';
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const READS: Readonly<Record<string, (pool: pg.Pool, subscription: number) => Promise<unknown>>> = {
  'the list of webhooks': (pool) => listWebhooks(pool, { tenant: QUIET }, 50, undefined),
  'the list of deliveries': (pool) => listDeliveries(pool, { tenant: QUIET }, 50, undefined),
  'the list of attempts': (pool) => listAttempts(pool, { tenant: QUIET }, 50, undefined),
  'the list of failed deliveries': (pool) =>
    listDeliveries(pool, { tenant: QUIET, state: 'failed' }, 50, undefined),
  'the list of failed attempts': (pool) =>
    listAttempts(pool, { tenant: QUIET, status: 'failed' }, 50, undefined),
  'the list of failed deliveries of a subscription': (pool, subscriptionId) =>
    listDeliveries(pool, { tenant: QUIET, state: 'failed', subscriptionId }, 50, undefined),
  'a search for failed webhooks': (pool) =>
    searchOnce(pool, { tenant: QUIET, state: 'failed' }, 50, undefined),
  'a search by the answer': (pool) =>
    searchOnce(pool, { tenant: QUIET, responseCode: 500 }, 50, undefined),
  'the problems of receivers': (pool) =>
    findProblems(
      pool,
      { tenant: QUIET, subscriptionId: undefined, windowMs: DAY_MS },
      50,
      undefined,
    ),
  'the health of a subscription': (pool, subscription) =>
    summarizeHealth(pool, QUIET, [subscription]),
  'the figures of a tenant': (pool) => readStats(pool, QUIET, null, 7 * DAY_MS),
  'the figures of a subscription': (pool, subscription) =>
    readStats(pool, QUIET, subscription, 7 * DAY_MS),
  'a series of a subscription': (pool, subscription) => readSeries(pool, QUIET, subscription, '1h'),
};

t.test('what a quiet tenant reads does not grow with the webhooks of another tenant', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`load 'auto_explain'`).catch((error: Error) => {
    t.plan(0, `Postgres shows no plans: ${error.message}`);
    process.exit();
  });
  const subscription = await fill(client);
  for (const [plans, settings, mode] of [
    ['the plans of lists', POOL_PLANS.lists, 'generic'],
    ['other plans', {}, 'custom'],
  ] satisfies [string, Plans, 'generic' | 'custom'][])
    await t.test(`by ${plans}`, async (t) => {
      const explaining = await openExplaining(databaseUrl, settings, mode);
      try {
        for (const [what, read] of Object.entries(READS)) {
          const { explained } = await explaining.run((pool) => read(pool, subscription));
          const scans = explained.flatMap(({ scans }) => scans).filter(({ rows }) => rows > 50);
          const rows = scans.reduce((sum, scan) => sum + scan.rows, 0);
          t.ok(rows < MOST_ROWS, `${what}: ${rows} rows are read`, { scans });
        }
      } finally {
        await explaining.end();
      }
    });
});

t.test('figures of the last hour do not grow with what failed before it', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`load 'auto_explain'`).catch((error: Error) => {
    t.plan(0, `Postgres shows no plans: ${error.message}`);
    process.exit();
  });
  await fill(client);
  const explaining = await openExplaining(databaseUrl, POOL_PLANS.lists, 'generic');
  try {
    for (const windowMs of [60_000, HOUR_MS]) {
      const { explained } = await explaining.run(async (pool) => {
        t.match(await readStats(pool, 'busy', null, windowMs), { failed: 0, attempts: 0 });
      });
      const scans = explained.flatMap(({ scans }) => scans);
      const rows = scans.reduce((sum, scan) => sum + scan.rows, 0);
      t.ok(rows < MOST_ROWS, `${rows} rows are read`, { scans });
    }
    await explaining.run(async (pool) => {
      t.match(await readStats(pool, 'busy', null, DAY_MS), { failed: MANY, attempts: 2 * MANY });
    });
  } finally {
    await explaining.end();
  }
});

/** Adds both tenants with a subscription each, and returns that of the quiet one. The webhooks ended two hours ago. */
async function fill(client: pg.Client): Promise<number> {
  await client.query(`insert into posthorn.tenants (id) values ('busy'), ('${QUIET}')`);
  const { rows } = await client.query<{ id: number }>(
    `insert into posthorn.subscriptions (url, tenant, event_types)
     values ('http://127.0.0.1:9/', 'busy', '{}'), ('http://127.0.0.1:9/', '${QUIET}', '{}') returning id`,
  );
  const [busy, quiet] = rows.map(({ id }) => id);
  await client.query(`set timezone = 'UTC'`);
  await client.query('select posthorn.ensure_partitions(current_date - 1, current_date)');
  for (const state of ['succeeded', 'failed'])
    await client.query(
      `with made as materialized (
         -- The first digits of a UUIDv7 are its time.
         select overlay(posthorn.uuidv7()::text placing left(posthorn.uuidv7_floor(at)::text, 13) from 1 for 13)::uuid as id, at
         from (select now() - interval '2 hours' as at from generate_series(1, $1::integer)) as moments
       ),
       payloads as (
         insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body)
         select id, 'busy', 'order.created', 'application/json', '{}' from made
       ), deliveries as (
         insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at)
         select id, $2, $3::posthorn.delivery_state, 1, null, at from made
       )
       insert into posthorn.delivery_attempts (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
       select at, id, $2, 1, case $3 when 'failed' then 'failed' else 'success' end::posthorn.attempt_status, 500, 7 from made`,
      [MANY, busy, state],
    );
  await client.query('vacuum analyze');
  return quiet as number;
}
