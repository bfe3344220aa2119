// Copying a tenant from one database to another: all of it arrives, nothing of others, again and again.
import type pg from 'pg';
import t, { type Test } from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { countMinute } from '../../src/history/count.sql.ts';
import { copyHistory, timeOf } from '../../src/placement/copy-history.ts';
import { copyRest, copySettings } from '../../src/placement/copy-rows.ts';
import { copyCounts } from '../../src/placement/counts.ts';
import { closeTenant } from '../../src/placement/fence.ts';
import { BY_HOUR, BY_MINUTE, COUNTED_BY_HOUR, COUNTED_BY_MINUTE } from '../helpers/counts.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

const WITHIN = { timeoutMs: 60_000 };

/** Two databases; the tenant acme is at the source with history of three days, and closed at the target. */
async function start(t: Test) {
  const open = async () => {
    const pool = createPool({
      connectionString: await createTestDatabase(t),
      purpose: 'test',
      max: 3,
      timeoutMs: 60_000,
    });
    t.teardown(() => pool.end());
    return pool;
  };
  const sides = { source: await open(), target: await open() };
  await sides.target.query(`alter sequence posthorn.subscriptions_id_seq restart 10000001`);
  await sides.source.query(FILL);
  await sides.target.query(`insert into posthorn.tenants (id) values ('acme')`);
  await closeTenant(sides.target, 'acme', WITHIN);
  return sides;
}

/** Every third delivery waits, for a retry or held; one day has no partition at the target yet. */
const FILL = `
  select posthorn.ensure_partitions((now() at time zone 'UTC')::date - 3, (now() at time zone 'UTC')::date, 1);
  insert into posthorn.tenants (id, name, retention_ms) values ('acme', 'Acme', 86400000), ('other', null, null);
  insert into posthorn.event_types (tenant, name, schema) values ('acme', 'order.created', '{"x": "\\u0000"}');
  insert into posthorn.keys (tenant, hash, hint, environment, scopes) values ('acme', sha256('a'), 'ph_1', 'live', '{send}');
  insert into posthorn.subscriptions (tenant, url, event_types, channels, filter, metadata, ordering, secret)
  select tenant, 'https://example.com/' || n, '{order.*}', case when n = 2 then '{a,b}'::text[] end,
    case when n = 1 then '$.x > 1'::jsonpath end, '{"a": "b"}', case when n = 2 then 'strict' else 'none' end::posthorn.subscription_ordering, 'x'
  from unnest(array['other', 'acme']) as t (tenant), generate_series(1, 3) n;
  insert into posthorn.idempotency_keys (tenant, key, fingerprint, webhook_ids, deliveries) values ('acme', 'k', 'f', '{}', '{}');
  create temporary table made as
    select n, case when n % 5 = 0 then 'other' else 'acme' end as tenant,
      overlay(posthorn.uuidv7_floor(now() - n % 4 * interval '20 hours' - n * interval '1 second')::text
        placing '7000-8000-' || lpad(to_hex(n), 12, '0') from 15)::uuid as id
    from generate_series(1, 3000) n;
  insert into posthorn.webhook_payloads (id, accepted_at, tenant, event_type, content_type, channels, headers, body)
  select id, posthorn.uuidv7_time(id), tenant, 'order.created', 'application/json', '{a,"b c"}', '{"x": "y"}',
    decode('00ff27225c', 'hex') || convert_to(n::text, 'UTF8') from made;
  insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at, reason)
  select m.id, s.id, state::posthorn.delivery_state, 1, case when state in ('pending', 'held') then now() + interval '1 hour' end,
    case when state not in ('pending', 'held') then now() end, case when state = 'failed' then 'expired' end
  from made m join posthorn.subscriptions s on s.tenant = m.tenant
  cross join lateral (select (array['succeeded', 'pending', 'succeeded', 'held', 'failed', 'cancelled'])[1 + (m.n + s.id) % 6] as state) st;
  insert into posthorn.delivery_attempts (webhook_id, subscription_id, duration_ms, attempt_number, status, response_excerpt, error)
  select webhook_id, subscription_id, 7, 1, 'failed', E'a "b"\\n\\\\', 'it''s' from posthorn.deliveries;`;

/** A line for each row of the tenant, of all tables that a move copies. */
async function rowsOf(pool: pg.Pool) {
  const of = `in (select id from posthorn.subscriptions where tenant = 'acme')`;
  const tables = {
    tenants: `select to_jsonb(x) - 'closed_at' from posthorn.tenants x where id = 'acme'`,
    eventTypes: `select to_json(x) from posthorn.event_types x where tenant = 'acme'`,
    keys: `select to_json(x) from posthorn.keys x where tenant = 'acme'`,
    subscriptions: `select to_jsonb(x) - '{status,status_reason,status_changed_at,through_backlog}'::text[]
      from posthorn.subscriptions x where tenant = 'acme' order by id`,
    matching: `select to_json(x) from posthorn.subscription_event_types x where tenant = 'acme' order by x`,
    idempotency: `select to_json(x) from posthorn.idempotency_keys x where tenant = 'acme'`,
    payloads: `select to_json(x) from posthorn.webhook_payloads x where tenant = 'acme' order by id`,
    deliveries: `select to_jsonb(x) - 'queued' from posthorn.deliveries x where subscription_id ${of} order by webhook_id, subscription_id`,
    attempts: `select to_json(x) from posthorn.delivery_attempts x where subscription_id ${of} order by id`,
    minutes: `select to_json(x) from posthorn.counts_by_minute x where tenant = 'acme' order by x`,
    hours: `select to_json(x) from posthorn.counts_by_hour x where tenant = 'acme' order by x`,
  };
  const lines: Record<string, string[]> = {};
  for (const [name, statement] of Object.entries(tables)) {
    const { rows } = await pool.query<{ row: string }>(
      `select line::text as row from (${statement}) as x (line)`,
    );
    lines[name] = rows.map(({ row }) => row);
  }
  return lines;
}

async function equal(t: Test, { source, target }: Awaited<ReturnType<typeof start>>) {
  const theirs = await rowsOf(target);
  for (const [name, lines] of Object.entries(await rowsOf(source))) {
    t.ok(lines.length > 0 || /minutes|hours/.test(name), `${name}: there are rows`);
    t.strictSame(theirs[name], lines, name);
  }
}

t.test('all rows of a tenant are copied as they are, and none of others', async (t) => {
  const sides = await start(t);
  await copySettings(sides, 'acme');
  const first = await copyHistory(sides, 'acme');
  t.equal(first.webhooks, 2_400);
  await copyRest(sides, 'acme');
  await equal(t, sides);
  const { rows } = await sides.target.query(
    `select (select count(*) from posthorn.webhook_payloads where tenant <> 'acme')::integer as others,
       (select array_agg(distinct status::text) from posthorn.subscriptions) as states,
       (select count(*) from graphile_worker.jobs)::integer as jobs,
       (select count(*) from posthorn.deliveries where state = 'pending' and queued)::integer as queued`,
  );
  t.strictSame(rows, [{ others: 0, states: ['paused'], jobs: 0, queued: 0 }]);
});

t.test('a round copies only what has changed since, also in old days and back', async (t) => {
  const sides = await start(t);
  await copySettings(sides, 'acme');
  const since = await timeOf(sides.source);
  await copyHistory(sides, 'acme');
  t.equal((await copyHistory(sides, 'acme')).webhooks, 0, 'nothing has changed');
  await sides.source.query(`
    with few as (
      select d.webhook_id, d.subscription_id from posthorn.deliveries d
      join posthorn.webhook_payloads p on p.id = d.webhook_id and p.tenant = 'acme'
      where d.state = 'pending' order by d.webhook_id limit 3
    ), ended as (
      update posthorn.deliveries d set state = 'succeeded', attempt_count = 2, next_attempt_at = null, ended_at = now()
      from few where (d.webhook_id, d.subscription_id) = (few.webhook_id, few.subscription_id)
    )
    insert into posthorn.delivery_attempts (webhook_id, subscription_id, duration_ms, attempt_number, status)
    select webhook_id, subscription_id, 3, 2, 'success' from few`);
  await sides.source.query(
    `select posthorn.send('order.created', '{"x": 2}', tenant => 'acme') from generate_series(1, 5)`,
  );
  // A row that the target has, and the source has not any more.
  await sides.source.query(
    `delete from posthorn.webhook_payloads where id = (select min(id::text)::uuid from posthorn.webhook_payloads where tenant = 'acme' and id not in (select webhook_id from posthorn.deliveries where state = 'succeeded'))`,
  );
  const { webhooks } = await copyHistory(sides, 'acme', since);
  t.ok(webhooks >= 7 && webhooks <= 9, `${webhooks} webhooks`);
  await copyRest(sides, 'acme');
  t.equal((await copyHistory(sides, 'acme', since)).webhooks, 0);
});

t.test('a held delivery is that which was pending before, so it is not copied again', async (t) => {
  const sides = await start(t);
  await copySettings(sides, 'acme');
  await copyHistory(sides, 'acme');
  await sides.target.query(`update posthorn.deliveries set state = 'held' where state = 'pending'`);
  t.equal((await copyHistory(sides, 'acme')).webhooks, 0);
});

t.test('counts are exact, whichever database has counted further', async (t) => {
  const sides = await start(t);
  await sides.source.query(`
    update posthorn.delivery_attempts set at = posthorn.uuidv7_time(webhook_id) + interval '3 minutes',
      duration_ms = random() * 20, status = (array['success', 'failed'])[1 + floor(random() * 2)::integer]::posthorn.attempt_status;
    update posthorn.counting set counted_until = date_trunc('minute', now()) - interval '70 hours'`);
  await copySettings(sides, 'acme');
  await copyHistory(sides, 'acme');
  await until('the source has counted half of the oldest hours', async () => {
    await sides.source.query('select posthorn.mark_commits()');
    await countMinute(sides.source);
    const { rows } = await sides.source.query(
      `select from posthorn.counting where counted_until > now() - interval '60 hours 20 minutes'`,
    );
    return rows.length === 1;
  });
  const { rows } = await sides.source.query('select counted_until from posthorn.counting');
  for (const minutes of [-20, -7, 0, 7, 1500]) {
    await sides.target.query(
      `update posthorn.counting set counted_until = $1::timestamptz + $2 * interval '1 minute'`,
      [rows[0].counted_until, minutes],
    );
    await copyCounts(sides, 'acme');
    const found = await sides.target.query(COUNTED_BY_HOUR);
    t.ok(found.rows.length > 0, `${found.rows.length} counts of hours`);
    t.strictSame(found.rows, (await sides.target.query(BY_HOUR)).rows, `${minutes}: hours`);
    t.strictSame(
      (await sides.target.query(COUNTED_BY_MINUTE)).rows,
      (await sides.target.query(BY_MINUTE)).rows,
      `${minutes}: minutes`,
    );
  }
});

t.test('nothing is copied into an open tenant', async (t) => {
  const sides = await start(t);
  await copySettings(sides, 'acme');
  await sides.target.query(`select posthorn.open_tenant('acme')`);
  await t.rejects(copyHistory(sides, 'acme'), /is open in the database/);
  await t.rejects(copyRest(sides, 'acme'), /is open in the database/);
});
