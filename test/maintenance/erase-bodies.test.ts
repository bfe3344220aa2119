import { pino } from 'pino';
import t, { type Test } from 'tap';
import { LOCKS } from '../../src/db/advisory-locks.ts';
import { createPool } from '../../src/db/pool.ts';
import { createBodyKeeper } from '../../src/maintenance/erase-bodies.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { anyLoop } from '../helpers/loops.ts';
import { until } from '../helpers/until.ts';

const DAY_MS = 86_400_000;
const log = pino({ level: 'silent' });

interface Aged {
  readonly days: number;
  readonly tenant?: string;
  readonly state?: string;
  readonly count?: number;
}

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  await client.query(`select posthorn.ensure_partitions(current_date - 12, current_date)`);
  await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  return {
    client,
    /** Runs once, with payloads kept for so many days of 30. */
    keep: (days: number) =>
      createBodyKeeper({
        pool,
        retentionMs: 30 * DAY_MS,
        payloadRetentionMs: days * DAY_MS,
        loop: anyLoop,
        log,
      }).runOnce(),
    async add({ days, tenant = 'default', state = 'succeeded', count = 1 }: Aged) {
      await client.query(
        `with w as (
           insert into posthorn.webhook_payloads (id, tenant, content_type, body)
           select overlay(posthorn.uuidv7()::text placing
             left(posthorn.uuidv7_floor(now() - $1 * interval '1 day')::text, 13) from 1 for 13)::uuid,
             $2, 'application/json', '{}'
           from generate_series(1, $4::integer)
           returning id
         ), d as (
           insert into posthorn.deliveries (webhook_id, subscription_id, state)
           select id, 1, $3::posthorn.delivery_state from w
         )
         insert into posthorn.delivery_attempts (webhook_id, subscription_id, attempt_number, status, duration_ms, response_excerpt)
         select id, 1, 1, 'success', 1, 'answer' from w`,
        [days, tenant, state, count],
      );
    },
    /** What there is, as `tenant days bodies answers`. */
    async left() {
      const { rows } = await client.query<{ line: string }>(
        `select p.tenant || ' ' || round(extract(epoch from now() - posthorn.uuidv7_time(p.id)) / 86400)
           || ' ' || count(p.body) || ' ' || count(a.response_excerpt) as line
         from posthorn.webhook_payloads p
         join posthorn.delivery_attempts a on a.webhook_id = p.id
         group by p.tenant, round(extract(epoch from now() - posthorn.uuidv7_time(p.id)) / 86400)
         order by p.tenant, round(extract(epoch from now() - posthorn.uuidv7_time(p.id)) / 86400)`,
      );
      return rows.map(({ line }) => line);
    },
  };
}

t.test('bodies and answers go when their retention is over, their history stays', async (t) => {
  const { keep, add, left } = await start(t);
  await add({ days: 1 });
  await add({ days: 5, count: 2_500 });
  await add({ days: 8 });
  await keep(30);
  t.strictSame(await left(), ['default 1 1 1', 'default 5 2500 2500', 'default 8 1 1']);
  await keep(7);
  t.strictSame(await left(), ['default 1 1 1', 'default 5 2500 2500', 'default 8 0 0']);
  await keep(3);
  t.strictSame(await left(), ['default 1 1 1', 'default 5 0 0', 'default 8 0 0']);
  await keep(7);
  t.strictSame((await left())[0], 'default 1 1 1');
});

t.test('what is owed keeps its body until it has ended', async (t) => {
  const { client, keep, add, left } = await start(t);
  await add({ days: 5, state: 'pending' });
  await add({ days: 6, state: 'held' });
  await add({ days: 7, state: 'failed' });
  await keep(3);
  t.strictSame(await left(), ['default 5 1 1', 'default 6 1 1', 'default 7 0 0']);
  await client.query(`update posthorn.deliveries set state = 'succeeded' where state = 'held'`);
  await keep(3);
  t.strictSame(await left(), ['default 5 1 1', 'default 6 0 0', 'default 7 0 0']);
  await client.query(`update posthorn.deliveries set state = 'failed'`);
  await keep(3);
  t.strictSame(await left(), ['default 5 0 0', 'default 6 0 0', 'default 7 0 0']);
  t.equal((await client.query('select from posthorn.overdue_bodies')).rowCount, 0);
});

t.test('a tenant with a shorter retention of its own has its bodies for that long', async (t) => {
  const { client, keep, add, left } = await start(t);
  await client.query(`
    insert into posthorn.tenants (id, retention_ms)
    values ('default', null), ('short', ${2 * DAY_MS}), ('long', ${20 * DAY_MS})
    on conflict (id) do update set retention_ms = excluded.retention_ms`);
  for (const tenant of ['default', 'short', 'long'])
    for (const days of [1, 3, 8]) await add({ days, tenant });
  await keep(7);
  t.strictSame(await left(), [
    'default 1 1 1',
    'default 3 1 1',
    'default 8 0 0',
    'long 1 1 1',
    'long 3 1 1',
    'long 8 0 0',
    'short 1 1 1',
    'short 3 0 0',
    'short 8 0 0',
  ]);
});

t.test('a body does not expire under a delivery that is being made owed again', async (t) => {
  const { client, keep, add, left } = await start(t);
  await add({ days: 5, state: 'failed' });
  // As a retry does: it has seen the body, and has not committed yet.
  await client.query('begin');
  await client.query(`select pg_advisory_xact_lock_shared(${LOCKS.bodies})`);
  await client.query(`update posthorn.deliveries set state = 'pending'`);
  const kept = keep(3);
  await until('the keeper waits', async () => {
    const { rows } = await client.query(
      `select from pg_locks where locktype = 'advisory' and not granted and objid = (-2)::integer::bigint & 4294967295`,
    );
    return rows.length > 0;
  });
  await client.query('commit');
  await kept;
  t.strictSame(await left(), ['default 5 1 1']);
});
