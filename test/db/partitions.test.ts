import { pino } from 'pino';
import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { keepPartitions } from '../../src/maintenance/partitions.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const DAY_MS = 86_400_000;
const log = pino({ level: 'silent' });
const PARTITIONS = `
  select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
  where i.inhparent in ('posthorn.webhook_payloads'::regclass, 'posthorn.deliveries'::regclass,
    'posthorn.delivery_attempts'::regclass)
  order by 1`;

t.test('a webhook without a partition is accepted: the partition is created first', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query(PARTITIONS);
  t.equal(rows.length, 24, 'today and a week ahead, for three tables');
  for (const { name } of rows) await client.query(`drop table posthorn.${name}`);
  await Promise.all(Array.from({ length: 20 }, (_, n) => posthorn.ingest(id, { n })));
  await receiver.waitFor(20);
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
        `select age from (select (now() at time zone 'UTC')::date - to_date(right(name, 8), 'YYYYMMDD') as age
         from (${PARTITIONS}) as p) as q group by age having count(*) = 3 order by age`,
      );
      return rows.map(({ age }) => age);
    };
    t.strictSame(await days(), [-7, -6, -5, -4, -3, -2, -1, 0, 10, 11, 12]);
    await keepPartitions(pool, 30 * DAY_MS, log);
    t.strictSame((await days()).slice(-3), [10, 11, 12], 'within the retention nothing goes');
    await keepPartitions(pool, 5 * DAY_MS, log);
    t.strictSame((await days()).slice(-2), [10, 11], 'what is owed stays');
    await client.query(
      `update posthorn.deliveries set state = 'failed' where state in ('pending', 'held')`,
    );
    await keepPartitions(pool, 10 * DAY_MS, log);
    t.strictSame(
      (await days()).slice(-2),
      [0, 10],
      'a day goes when all of it is past the retention',
    );
  },
);

t.test('a day that is being read is dropped later, without delaying intake', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  await client.query(`select posthorn.ensure_partitions(current_date - 12, current_date - 12)`);
  const before = (await client.query(PARTITIONS)).rowCount;
  await client.query('begin');
  await client.query('select count(*) from posthorn.deliveries');
  await keepPartitions(pool, DAY_MS, log);
  t.equal((await client.query(PARTITIONS)).rowCount, before);
  await client.query('commit');
  await keepPartitions(pool, DAY_MS, log);
  t.equal((await client.query(PARTITIONS)).rowCount, (before ?? 0) - 3);
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
