import { pino } from 'pino';
import t from 'tap';
import { daysEach, makePartitions } from '../../src/db/partitions.ts';
import { createPool } from '../../src/db/pool.ts';
import { keepPartitions } from '../../src/maintenance/retention.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const DAY_MS = 86_400_000;
const log = pino({ level: 'silent' });
const PARTITIONS = `
  select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent in ('posthorn.webhook_payloads'::regclass, 'posthorn.deliveries'::regclass,
    'posthorn.delivery_attempts'::regclass)
  order by 1`;

t.test('a partition that somebody dropped is made again, whichever table lost it', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query<{ name: string; parent: string; now: boolean }>(
    'select name, parent, now() between from_at and until_at as now from posthorn.list_partitions()',
  );
  t.equal(
    rows.length,
    3 * 9 + 10,
    'of each table today, a week ahead and a reserve; and yesterday of keys',
  );
  const current = rows.filter(({ now }) => now);
  t.equal(current.length, 4);
  const send = (idempotencyKey: string) =>
    posthorn.request(
      'POST',
      '/v1/webhooks',
      { event_type: 'order.created', data: {} },
      {
        'idempotency-key': idempotencyKey,
      },
    );
  for (const { name, parent } of current) {
    await client.query(`drop table posthorn.${name}`);
    t.equal((await send(parent)).status, 202, `without ${name}`);
  }
  for (const { name } of rows) await client.query(`drop table if exists posthorn.${name}`);
  await Promise.all(Array.from({ length: 20 }, (_, n) => posthorn.ingest(id, { n })));
  await receiver.waitFor(20);
});

t.test('whatever a table lost, making the coming week fills exactly that', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const covered =
    'select parent, range_agg(tstzrange(from_at, until_at)) as time from posthorn.list_partitions() group by parent';
  await client.query(`create temporary table at_first as ${covered}`);
  // Yesterday has only the table of keys. Midnight may have passed since, and nobody makes partitions of a day that has ended.
  const different = async () =>
    (
      await client.query(
        `select parent, a.time as at_first, c.time as now
         from at_first a full join (${covered}) c using (parent)
         where (c.time <@ a.time and a.time * tstzmultirange(tstzrange(
           (date_trunc('day', now() at time zone 'UTC') - (parent = 'idempotency_keys')::integer * interval '1 day')
           at time zone 'UTC', null)) <@ c.time) is not true`,
      )
    ).rows;
  const { rows } = await client.query('select name from posthorn.list_partitions()');
  for (const { name } of rows) {
    await client.query(`drop table posthorn.${name}`);
    await makePartitions(client, 1);
    t.strictSame(await different(), [], `after ${name} was dropped`);
  }
  const [{ name } = { name: '' }] = rows;
  await client.query(
    `alter table posthorn.deliveries detach partition posthorn.${
      rows.find((row) => row.name.startsWith('deliveries'))?.name ?? name
    }`,
  );
  await makePartitions(client, 1);
  t.strictSame(await different(), [], 'a table that an operator detached is left alone');
});

t.test(
  'partitions are created a week ahead, and dropped after the retention if all deliveries have ended',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
    t.teardown(() => pool.end());
    // Three old days: one whose deliveries have ended, one with a delivery still owed, one held.
    await client.query(`select posthorn.ensure_partitions(current_date - 12, current_date - 10)`);
    await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
    for (const [age, state] of [
      [12, 'succeeded'],
      [11, 'pending'],
      [10, 'held'],
    ] as const) {
      await client.query(
        `with w as (
         insert into posthorn.webhook_payloads (id, content_type, body)
         values (posthorn.uuidv7_floor(((now() at time zone 'UTC')::date - $1::integer + interval '1 hour') at time zone 'UTC'),
           'application/json', '{}')
         returning id
       )
       insert into posthorn.deliveries (webhook_id, subscription_id, state) select id, 1, $2 from w`,
        [age, state],
      );
    }
    const days = async () => {
      const { rows } = await client.query(
        `select (now() at time zone 'UTC')::date - (from_at at time zone 'UTC')::date as age
         from posthorn.list_partitions()
         where parent <> 'idempotency_keys' and from_at < now() + interval '8 days' and until_at < now() + interval '9 days'
         group by from_at having count(*) = 3 order by age`,
      );
      return rows.map(({ age }) => age);
    };
    t.strictSame(await days(), [-7, -6, -5, -4, -3, -2, -1, 0, 10, 11, 12]);
    await keepPartitions(pool, { retentionMs: 30 * DAY_MS }, log);
    t.strictSame((await days()).slice(-3), [10, 11, 12], 'within the retention nothing goes');
    await keepPartitions(pool, { retentionMs: 5 * DAY_MS }, log);
    t.strictSame((await days()).slice(-2), [10, 11], 'what is owed stays');
    await client.query(
      `update posthorn.deliveries set state = 'failed' where state in ('pending', 'held')`,
    );
    await keepPartitions(pool, { retentionMs: 10 * DAY_MS }, log);
    t.strictSame(
      (await days()).slice(-2),
      [0, 10],
      'a day goes when all of it is past the retention',
    );
  },
);

t.test('history in use is dropped when it is free, and nobody waits meanwhile', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const sender = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 2,
    timeoutMs: 1_000,
  });
  t.teardown(() => pool.end());
  await client.query(`select posthorn.ensure_partitions(current_date - 12, current_date - 12)`);
  const before = (await client.query(PARTITIONS)).rowCount ?? 0;
  const send = () => sender.query(`select posthorn.send('order.created', '{}')`);

  // A report that reads everything, and a sender that does not commit, for longer than the keeper may wait.
  await client.query('begin');
  await client.query('select count(*) from posthorn.deliveries');
  await send();
  let waits = 0;
  let kept = false;
  const keeping = keepPartitions(pool, { retentionMs: DAY_MS }, log).finally(() => {
    kept = true;
  });
  while (!kept) {
    // Refused at once if it had to wait for a lock.
    await sender.query(`set lock_timeout = '100ms'`);
    await send();
    waits += 1;
  }
  await keeping;
  t.ok(waits > 0);
  t.ok(((await sender.query(PARTITIONS)).rowCount ?? 0) > before - 3, 'it was not dropped');
  await client.query('commit');
  await until('it is dropped', async () => {
    await keepPartitions(pool, { retentionMs: DAY_MS }, log);
    return (await client.query(PARTITIONS)).rowCount === before - 3;
  });
  const { rows } = await client.query(
    `select relname from pg_class where relnamespace = 'posthorn'::regnamespace
     and relname like '%' || to_char(current_date - 12, 'YYYYMMDD') and relkind = 'r'`,
  );
  t.strictSame(rows, [], 'no table is left over');
});

t.test('a delivery made unfinished while its day is being detached is kept', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'test',
    max: 2,
    timeoutMs: 1_000,
  });
  t.teardown(() => pool.end());
  await client.query(`select posthorn.ensure_partitions(current_date - 12, current_date - 12)`);
  await client.query(
    `insert into posthorn.deliveries (webhook_id, subscription_id, state)
     values (posthorn.uuidv7_floor(current_date - interval '12 days' + interval '1 hour'), 1, 'failed')`,
  );
  const before = (await client.query(PARTITIONS)).rowCount;
  const person = await connect(t, databaseUrl);
  await person.query('begin');
  await person.query(`update posthorn.deliveries set state = 'pending'`);
  await keepPartitions(pool, { retentionMs: DAY_MS }, log);
  await person.query('commit');
  await until('the day is attached again', async () => {
    await keepPartitions(pool, { retentionMs: DAY_MS }, log);
    return (await client.query(PARTITIONS)).rowCount === before;
  });
  t.equal((await client.query('select state from posthorn.deliveries')).rows[0]?.state, 'pending');
});

t.test('a reserve gives way to days, and holds what comes while no service runs', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  const drop = async (ahead: string) => {
    const { rows } = await client.query(
      `select name from posthorn.list_partitions() where from_at > now() + $1::interval`,
      [ahead],
    );
    for (const { name } of rows) await client.query(`drop table posthorn.${name}`);
  };
  const widths = async () => {
    const { rows } = await client.query(
      `select array_agg(extract(day from until_at - from_at)::integer order by from_at) as days
       from posthorn.list_partitions() where until_at > now() group by parent`,
    );
    return rows.map(({ days }) => days.join());
  };
  const fresh = Array(4).fill('1,1,1,1,1,1,1,1,100');
  t.strictSame(await widths(), fresh);
  // As if the service had been away for five days: today and two days more are there, then the reserve.
  await drop('2 days');
  await client.query('select posthorn.ensure_reserve(100, 50)');
  t.strictSame(await widths(), Array(4).fill('1,1,1,100'));
  await keepPartitions(pool, { retentionMs: 30 * DAY_MS }, log);
  t.strictSame(await widths(), fresh);

  // Away for longer than a week: everything goes into the reserve.
  await drop('-1 days');
  for (const parent of ['webhook_payloads', 'deliveries', 'delivery_attempts', 'idempotency_keys'])
    await client.query(
      `select posthorn.create_partition($1, date_trunc('day', now()), date_trunc('day', now()) + interval '90 days')`,
      [parent],
    );
  await client.query(`select posthorn.send('order.created', '{}', idempotency_key => 'k')`);
  await keepPartitions(pool, { retentionMs: 30 * DAY_MS }, log);
  t.strictSame(await widths(), Array(4).fill('90'));
  t.equal((await client.query('select from posthorn.webhook_payloads')).rowCount, 1);
});

t.test('however long history is kept, it has few partitions', async (t) => {
  t.equal(daysEach(30 * DAY_MS), 1);
  t.equal(daysEach(400 * DAY_MS), 13);
  t.equal(daysEach(Number.MAX_SAFE_INTEGER), 31);
  const client = await connect(t, await createTestDatabase(t));
  await client.query('select posthorn.ensure_partitions(current_date - 400, current_date - 1)');
  const { rows } = await client.query(
    `select count(*)::integer from posthorn.list_partitions() where parent = 'deliveries'`,
  );
  t.ok(rows[0].count < 45, `${rows[0].count}`);
});

t.test('ids ascend, contain the time, and belong to the day of their creation', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  const { rows } = await client.query(
    'select id, posthorn.uuidv7_time(id) as at from (select posthorn.uuidv7() as id from generate_series(1, 2000)) as ids',
  );
  const ids = rows.map(({ id }) => id);
  t.equal(new Set(ids).size, 2000);
  for (const id of ids) {
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))
      t.fail(`not a UUIDv7: ${id}`);
  }
  const drift = Math.max(...rows.map(({ at }) => Math.abs(at.getTime() - Date.now())));
  t.ok(drift < 60_000);
  const moments = ids.map((id: string) => id.slice(0, 18));
  t.strictSame(moments, moments.toSorted(), 'to the fraction of a millisecond');
  const floor = await client.query(
    `select posthorn.uuidv7_floor('2026-01-31T12:00:00.123Z') as id,
       posthorn.uuidv7_time(posthorn.uuidv7_floor('2026-01-31T12:00:00.123Z')) = '2026-01-31T12:00:00.123Z' as same`,
  );
  t.match(floor.rows[0], {
    id: /^019c13f3-9a9b-0000-0000-000000000000$|^[0-9a-f]{8}-[0-9a-f]{4}-0000-0000-000000000000$/,
    same: true,
  });
});

t.test(
  'failed deliveries outlive the other history of their day, and can be retried',
  async (t) => {
    let answer = 500;
    const receiver = await startReceiver(t, (response) => {
      response.statusCode = answer;
      response.end('answer');
    });
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '10ms' });
    const { request } = posthorn;
    const client = await connect(t, posthorn.databaseUrl);
    const pool = createPool({ connectionString: posthorn.databaseUrl, purpose: 'test', max: 2 });
    t.teardown(() => pool.end());
    const id = await posthorn.subscribe(receiver.url);
    const failed = await posthorn.ingest(id, { n: 1 });
    const stateOf = async (webhook: string) =>
      (await request('GET', `/v1/deliveries/${webhook}.${id}`)).json.state;
    await until('it has failed', async () => (await stateOf(failed)) === 'failed');
    answer = 200;
    const other = await posthorn.ingest(id, { n: 2 });
    await until('it has succeeded', async () => (await stateOf(other)) === 'succeeded');

    // As if it were forty days later: the ids and the bounds of their partitions are forty days older.
    const OLDER = `posthorn.uuidv7_floor(now() - interval '40 days')::text`;
    await client.query(`select posthorn.ensure_partitions(current_date - 41, current_date - 39)`);
    const older = async (webhook: string) => {
      const { rows } = await client.query<{ id: string }>(
        `select (substr(${OLDER}, 1, 13) || substr($1::text, 14))::uuid as id`,
        [webhook],
      );
      const aged = rows[0]?.id as string;
      for (const [table, column] of [
        ['webhook_payloads', 'id'],
        ['deliveries', 'webhook_id'],
        ['delivery_attempts', 'webhook_id'],
      ])
        await client.query(`update posthorn.${table} set ${column} = $2 where ${column} = $1`, [
          webhook,
          aged,
        ]);
      return aged;
    };
    const kept = await older(failed);
    const dropped = await older(other);
    const keep = (days: number, goesOn?: () => boolean) =>
      keepPartitions(
        pool,
        { retentionMs: 30 * DAY_MS, failedRetentionMs: days * DAY_MS },
        log,
        goesOn,
      );
    // The second time there is nothing to do.
    for (let nth = 0; nth < 2; nth++) {
      await keep(60);
      t.equal((await request('GET', `/v1/webhooks/${dropped}`)).status, 404);
      const { json } = await request('GET', `/v1/webhooks/${kept}`);
      t.match(json.deliveries, [
        { state: 'failed', attempts: [{ response_code: 500 }, { response_code: 500 }] },
      ]);
      const { json: attempts } = await request('GET', `/v1/attempts?webhook_id=${kept}`);
      t.equal(attempts.data.length, 2);
    }
    const { rows } = await client.query(
      `select (select count(*)::integer from posthorn.webhook_payloads) as webhooks,
       (select count(*)::integer from posthorn.deliveries) as deliveries,
       (select count(*)::integer from posthorn.delivery_attempts) as attempts`,
    );
    t.strictSame(rows, [{ webhooks: 1, deliveries: 1, attempts: 2 }]);

    t.equal((await request('POST', `/v1/deliveries/${kept}.${id}/retry`)).status, 202);
    await until('it has succeeded', async () => (await stateOf(kept)) === 'succeeded');
    t.equal(receiver.received.at(-1)?.body.toString(), '{"n":1}');
    await keep(39);
    t.equal((await request('GET', `/v1/webhooks/${kept}`)).status, 404);
    const { rows: left } = await client.query(
      `select name from posthorn.list_partitions() where parent <> 'idempotency_keys' and until_at < now()`,
    );
    t.strictSame(left, []);
  },
);

t.test('keeping failed deliveries goes on where it was interrupted', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  await client.query(`select posthorn.ensure_partitions(current_date - 40, current_date - 40)`);
  await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  await client.query(
    `with w as (
       insert into posthorn.webhook_payloads (id, content_type, body)
       select posthorn.uuidv7_floor(((now() at time zone 'UTC')::date - 40 + n * interval '1 second') at time zone 'UTC'),
         'application/json', '{}' from generate_series(1, 3) n
       returning id)
     insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at)
     select id, 1, case row_number() over (order by id) when 2 then 'failed' else 'succeeded' end::posthorn.delivery_state, null from w`,
  );
  const retention = { retentionMs: 30 * DAY_MS, failedRetentionMs: 60 * DAY_MS };
  const counts = async () => {
    const { rows } = await client.query({
      text: `select (select count(*)::integer from posthorn.deliveries),
        (select count(*)::integer from posthorn.webhook_payloads)`,
      rowMode: 'array',
    });
    return rows[0];
  };
  // A reader of the copy's name stands for anything that makes the copy fail after the table was detached.
  const { rows } = await client.query(
    `select name from posthorn.list_partitions() where parent = 'deliveries' and until_at < now()`,
  );
  await client.query(`create table posthorn.${rows[0].name}_failed ()`);
  await t.rejects(keepPartitions(pool, retention, log), { code: '42P07' });
  t.strictSame(await counts(), [0, 3], 'the deliveries are in a detached table meanwhile');
  await client.query(`drop table posthorn.${rows[0].name}_failed`);
  await keepPartitions(pool, retention, log);
  t.strictSame(await counts(), [1, 1]);
});
