import fc from 'fast-check';
import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { listAttempts } from '../../src/history/attempts.ts';
import { isListedByDue, listDeliveries } from '../../src/history/deliveries.ts';
import type { Found } from '../../src/history/scan.ts';
import { listWebhooks } from '../../src/history/webhooks.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

const STATES = ['pending', 'held', 'succeeded', 'failed', 'cancelled'] as const;
const TYPES = ['order.paid', 'order.created', 'user.gone'] as const;
const ROWS = 6_000;

/** Reads all pages. */
async function all<T>(
  list: (after: readonly string[] | undefined) => Promise<Found<T>>,
  limit: number,
): Promise<T[]> {
  const rows: T[] = [];
  for (let after: readonly string[] | undefined; ; ) {
    const page = await list(after);
    if (page.rows.length > limit) throw new Error('a page has more rows than its limit');
    rows.push(...page.rows);
    if (page.next === null) return rows;
    after = page.next;
  }
}

t.test('whatever is asked for, the pages have it all, in order, once', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.lists,
  });
  t.teardown(() => pool.end());
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('many'), ('several')`);
  // Three subscriptions of the default tenant, two of another, one each of sixty that a third has, and twelve of a fourth, of
  // which one has most deliveries.
  await client.query(
    `insert into posthorn.subscriptions (url, tenant)
     select 'https://example.com', case when n <= 3 then 'default' when n <= 5 then 'acme' when n <= 65 then 'many' else 'several' end
     from generate_series(1, 77) n`,
  );
  await client.query(`select posthorn.ensure_partitions(current_date - 4, current_date)`);
  // Some share a moment, some a webhook; most of the history is not what is asked for.
  await client.query(
    `with made as materialized (
       select n, overlay(posthorn.uuidv7()::text placing
           left(posthorn.uuidv7_floor(now() - n / 10 * interval '1 minute' * 0.6)::text, 13) from 1 for 13)::uuid as id,
         now() - n / 10 * interval '1 minute' * 0.6 as at,
         case when n % 7 = 0 then 4 + n % 2 when n % 11 = 0 then 6 + n % 60
           when n % 13 = 1 then 66 when n % 9 = 1 then 66 + n % 12 else 1 + n % 3 end as subscription,
         (array['pending', 'held', 'failed', 'cancelled'])[1 + n % 4]::posthorn.delivery_state as rare,
         ($2::text[])[1 + (n / 10) % 3] as type
       from generate_series(1, $1::integer) n
     ), payloads as (
       insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body)
       select m.id, s.tenant, type, 'application/json', '{}'
       from made m join posthorn.subscriptions s on s.id = m.subscription
     ), deliveries as (
       insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at)
       select id, subscription, state, case when state in ('pending', 'held') then at + n % 5 * interval '1 hour' end
       from (select *, case when n % 13 = 0 then rare else 'succeeded' end as state from made) as m
     )
     insert into posthorn.delivery_attempts
       (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms, error_code)
     select at, id, subscription, 1, case when n % 17 = 0 then 'failed' else 'success' end::posthorn.attempt_status,
       case when n % 17 = 0 then 500 + n % 2 else 200 end, 5, case when n % 17 = 0 then 'http_status' end
     from made`,
    [ROWS, TYPES],
  );
  await client.query('analyze');
  const moment = fc
    .option(fc.integer({ min: 0, max: 400 }), { nil: undefined })
    .map((minutes) =>
      minutes === undefined ? undefined : new Date(Date.now() - minutes * 60_000),
    );
  const someWebhook = (await client.query('select id from posthorn.webhook_payloads limit 5')).rows;
  const asked = fc.record({
    tenant: fc.constantFrom('default', 'acme', 'many', 'several', 'nobody'),
    subscriptionId: fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined, freq: 2 }),
    webhookId: fc.option(fc.constantFrom(...someWebhook.map(({ id }) => id as string)), {
      nil: undefined,
      freq: 8,
    }),
    eventType: fc.option(fc.constantFrom(...TYPES, 'nothing'), { nil: undefined }),
    since: moment,
    until: moment,
  });
  const limits = fc.constantFrom(7, 100, 1000);

  await fc.assert(
    fc.asyncProperty(
      asked,
      fc.option(fc.constantFrom(...STATES), { nil: undefined, freq: 3 }),
      limits,
      async (filter, state, limit) => {
        const found = await all(
          (after) => listDeliveries(pool, { ...filter, state }, limit, after),
          limit,
        );
        const byDue = isListedByDue({ ...filter, state });
        const { rows } = await client.query(
          `select d.webhook_id || '.' || d.subscription_id as id
           from posthorn.deliveries d
           join posthorn.subscriptions s on s.id = d.subscription_id
           join posthorn.webhook_payloads p on p.id = d.webhook_id
           where s.tenant = $1 and ($2::integer is null or d.subscription_id = $2)
             and ($3::uuid is null or d.webhook_id = $3) and ($4::text is null or p.event_type = $4)
             and ($5::timestamptz is null or d.webhook_id >= posthorn.uuidv7_floor($5))
             and ($6::timestamptz is null or d.webhook_id < posthorn.uuidv7_floor($6))
             and ($7::posthorn.delivery_state is null or d.state = $7)
           order by ${byDue ? 'd.next_attempt_at, d.webhook_id, d.subscription_id' : 'd.webhook_id desc, d.subscription_id desc'}`,
          [
            filter.tenant,
            filter.subscriptionId,
            filter.webhookId,
            filter.eventType,
            filter.since,
            filter.until,
            state,
          ],
        );
        const ids = found.map(
          ({ webhook_id, subscription_id }) => `${webhook_id}.${subscription_id}`,
        );
        return JSON.stringify(ids) === JSON.stringify(rows.map(({ id }) => id));
      },
    ),
    { numRuns: 60 },
  );

  await fc.assert(
    fc.asyncProperty(
      asked,
      fc.record({
        status: fc.option(fc.constantFrom('success' as const, 'failed' as const), {
          nil: undefined,
        }),
        responseCode: fc.option(fc.constantFrom(200, 500, 501, 404), { nil: undefined, freq: 2 }),
        errorCode: fc.option(fc.constantFrom('http_status', 'dns'), { nil: undefined, freq: 1 }),
      }),
      limits,
      async (filter, outcome, limit) => {
        const found = await all(
          (after) => listAttempts(pool, { ...filter, ...outcome }, limit, after),
          limit,
        );
        const { rows } = await client.query(
          `select a.id
           from posthorn.delivery_attempts a
           join posthorn.subscriptions s on s.id = a.subscription_id
           join posthorn.webhook_payloads p on p.id = a.webhook_id
           where s.tenant = $1 and ($2::integer is null or a.subscription_id = $2)
             and ($3::uuid is null or a.webhook_id = $3) and ($4::text is null or p.event_type = $4)
             and ($5::timestamptz is null or a.at >= $5) and ($6::timestamptz is null or a.at < $6)
             and ($7::posthorn.attempt_status is null or a.status = $7)
             and ($8::integer is null or a.response_code = $8)
             and ($9::text is null or a.error_code = $9)
           order by a.at desc, a.id desc`,
          [
            filter.tenant,
            filter.subscriptionId,
            filter.webhookId,
            filter.eventType,
            filter.since,
            filter.until,
            outcome.status,
            outcome.responseCode,
            outcome.errorCode,
          ],
        );
        return (
          JSON.stringify(found.map(({ id }) => id)) ===
          JSON.stringify(rows.map(({ id }) => Number(id)))
        );
      },
    ),
    { numRuns: 60 },
  );

  await fc.assert(
    fc.asyncProperty(asked, limits, async ({ tenant, eventType, since, until }, limit) => {
      const found = await all(
        (after) => listWebhooks(pool, { tenant, eventType, since, until }, limit, after),
        limit,
      );
      const { rows } = await client.query(
        `select id from posthorn.webhook_payloads
         where tenant = $1 and ($2::text is null or event_type = $2)
           and ($3::timestamptz is null or id >= posthorn.uuidv7_floor($3))
           and ($4::timestamptz is null or id < posthorn.uuidv7_floor($4))
         order by id desc`,
        [tenant, eventType, since, until],
      );
      return (
        JSON.stringify(found.map(({ webhook_id }) => webhook_id)) ===
        JSON.stringify(rows.map(({ id }) => id))
      );
    }),
    { numRuns: 30 },
  );
});

t.test('a page that finds little ends early, and says where the next one begins', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.lists,
  });
  t.teardown(() => pool.end());
  await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  await client.query(
    `with made as (
       insert into posthorn.webhook_payloads (event_type, content_type, body)
       select case when n = 1 then 'rare' else 'usual' end, 'application/json', '{}' from generate_series(1, 10000) n
       returning id
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, state) select id, 1, 'succeeded' from made`,
  );
  const filter = { tenant: 'default', eventType: 'rare' };
  const first = await listDeliveries(pool, filter, 100, undefined);
  t.equal(first.rows.length, 0);
  t.ok(first.next, 'it goes on');
  const found = await all((after) => listDeliveries(pool, filter, 100, after), 100);
  t.equal(found.length, 1);
});

t.test('a page that ends with the last row that is read for it is not the last page', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.lists,
  });
  t.teardown(() => pool.end());
  // Every fourth is wanted, and so the last one of each page.
  await client.query(
    `insert into posthorn.webhook_payloads (event_type, content_type, body)
     select case when n % 4 = 1 then 'wanted' else 'other' end, 'application/json', '{}' from generate_series(1, 8000) n`,
  );
  const filter = { tenant: 'default', eventType: 'wanted' };
  const found = await all((after) => listWebhooks(pool, filter, 1000, after), 1000);
  t.equal(found.length, 2000);
});

t.test('what is asked for by id is read from the partition of that id alone', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  // One connection, so that the locks of the transaction can be counted in it.
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.lists,
  });
  t.teardown(() => pool.end());
  await pool.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  const { rows } = await pool.query(`select posthorn.send('order.created', '{}') as id`);
  const filter = { tenant: 'default', webhookId: rows[0].id };
  const partitions = async () =>
    (
      await pool.query(
        `select c.relname from pg_locks l join pg_class c on c.oid = l.relation
         where l.pid = pg_backend_pid() and c.relispartition and c.relkind = 'r' order by 1`,
      )
    ).rows.map(({ relname }) => relname.replace(/_\d+$/, ''));
  await pool.query('begin');
  t.equal((await listDeliveries(pool, filter, 10, undefined)).rows.length, 1);
  t.strictSame(await partitions(), ['deliveries', 'webhook_payloads']);
  await pool.query('commit');
  await pool.query('begin');
  await listAttempts(pool, filter, 10, undefined);
  t.strictSame(await partitions(), ['delivery_attempts', 'webhook_payloads']);
  await pool.query('commit');
  await t.rejects(
    listAttempts(pool, { ...filter, webhookId: `' or true --` }, 10, undefined),
    TypeError,
  );
});
