// What happens to a watch when its table changes, moves, is restored or goes.
import pg from 'pg';
import t, { type Test } from 'tap';
import { mergeWatchFailures } from '../../src/maintenance/watch-failures.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`create schema shop; set search_path = shop, public;
    create table orders (id integer primary key, total numeric, note text)`);
  /** Returns the data of what was sent since the last call. */
  const sent = async () => {
    const { rows } = await client.query(
      `with gone as (delete from posthorn.webhook_payloads returning *)
       select event_type as type, convert_from(body, 'UTF8')::jsonb -> 'data' as data from gone order by id`,
    );
    // biome-ignore lint/suspicious/noExplicitAny: the data of a webhook has the columns of any table
    return rows as { type: string; data: any }[];
  };
  return { databaseUrl, client, sent };
}

for (const per of ['statement', 'row'])
  t.test(`a watch survives changes of its table in an open session, per ${per}`, async (t) => {
    const { client, sent } = await start(t);
    await client.query(
      `select posthorn.watch('orders', columns => '{total}', "when" => 'new.total > 1', ordering_key => 'id', per => $1, ops => '{insert,update}')`,
      [per],
    );
    const write = async () => {
      await client.query('delete from orders; insert into orders (id, total) values (1, 5)');
      await client.query('update orders set total = 7');
      return (await sent()).map(({ data }) => data.new);
    };
    t.strictSame(await write(), [
      { id: 1, total: 5, note: null },
      { id: 1, total: 7, note: null },
    ]);
    await client.query(`alter table orders add column added text default 'x'`);
    t.strictSame((await write())[1], { id: 1, total: 7, note: null, added: 'x' });
    await client.query('alter table orders drop column note');
    t.strictSame((await write())[1], { id: 1, total: 7, added: 'x' });
    await client.query('alter table orders rename column added to renamed');
    t.strictSame((await write())[1], { id: 1, total: 7, renamed: 'x' });
    // A session keeps the types of the columns that a row trigger uses; docs/watching-tables.md says so.
    if (per === 'statement') await client.query('alter table orders alter column total type real');
    t.strictSame((await write())[1], { id: 1, total: 7, renamed: 'x' });
    await client.query('create schema other; alter table orders set schema other');
    await client.query('alter table other.orders rename to sales; set search_path = other');
    await client.query('alter table sales rename to orders');
    t.strictSame((await write()).length, 2);
    t.match((await client.query('select rel::text, id from posthorn.watches')).rows, [
      { rel: 'orders', id: 1 },
    ]);
    t.strictSame((await client.query(`select posthorn.unwatch('orders')`)).rows, [{ unwatch: 1 }]);
    t.strictSame(await write(), []);
  });

t.test('every way to write into a table is seen', async (t) => {
  const { client, sent } = await start(t);
  await client.query(`
    create table customers (id integer primary key);
    create table visits (id integer, customer integer references customers on delete cascade on update cascade);
    insert into customers values (1), (2); insert into visits values (1, 1), (2, 1), (3, 2);
    create table parts (id integer, part integer) partition by list (part);
    create table parts_1 partition of parts for values in (1);
    create table elders (id integer); create table youngers (more text) inherits (elders);
    select posthorn.watch('visits'), posthorn.watch('parts'), posthorn.watch('elders'), posthorn.watch('youngers')`);
  const types = async (statement: string) => {
    await client.query(statement);
    return (await sent()).map(({ type, data }) => `${type} ${(data.new ?? data.old).id}`).sort();
  };
  t.strictSame(await types('delete from customers where id = 1'), [
    'visits.deleted 1',
    'visits.deleted 2',
  ]);
  t.strictSame(await types('update customers set id = 5'), ['visits.updated 3']);
  t.strictSame(await types('insert into parts values (1, 1)'), ['parts.inserted 1']);
  t.strictSame(await types('create table parts_2 partition of parts default'), []);
  t.strictSame(await types('insert into parts values (2, 2)'), ['parts.inserted 2']);
  t.strictSame(
    await types('insert into parts_1 values (3, 1)'),
    [],
    'as docs/watching-tables.md says, a write straight into a partition is not seen per statement',
  );
  await client.query(`select posthorn.unwatch('parts'), posthorn.watch('parts', per => 'row')`);
  t.strictSame(await types('insert into parts_1 values (4, 1)'), ['parts.inserted 4']);
  t.strictSame(await types('create table parts_3 partition of parts for values in (3)'), []);
  t.strictSame(await types('insert into parts_3 values (5, 3)'), ['parts.inserted 5']);
  t.strictSame(await types(`copy parts from program $$printf '6\\t1\\n7\\t3\\n'$$`), [
    'parts.inserted 6',
    'parts.inserted 7',
  ]);
  t.strictSame(await types(`copy visits from program $$printf '4\\t5\\n6\\t5\\n'$$`), [
    'visits.inserted 4',
    'visits.inserted 6',
  ]);
  await client.query('delete from visits where id > 3');
  await sent();
  t.strictSame(await types('insert into youngers values (1)'), ['youngers.inserted 1']);
  t.strictSame(await types('update elders set id = 2'), ['elders.updated 2']);
  t.strictSame(
    await types(
      `with moved as (delete from visits returning *) insert into elders select id from moved`,
    ),
    ['elders.inserted 3', 'visits.deleted 3'],
  );
  t.strictSame((await client.query('select count(*)::integer as n from posthorn.watches')).rows, [
    { n: 4 },
  ]);
});

t.test('values of any type are sent, whatever the settings of the writer', async (t) => {
  const { client, sent } = await start(t);
  await client.query(`
    set plpgsql.extra_errors = 'all'; set quote_all_identifiers = on; set transform_null_equals = on; set array_nulls = off;
    create type mood as enum ('good'); create type pair as (a integer, b text);
    create table odd ("new" integer, "old" text, "Order ""x""" json, spot point, kind mood, both_of pair, list text[],
      at timestamptz, day date, took interval, raw bytea, ratio float8, big numeric, doc xml, "select" jsonb,
      price money, name regclass);
    select posthorn.watch('odd', columns => array['Order "x"','spot','doc','both_of','new'], "when" => 'new.new = 1 or old.new = 1', ordering_key => 'new,kind'),
      posthorn.watch('odd', per => 'row', columns => array['Order "x"','spot','doc','both_of','new'], "when" => 'new.new = 1 or old.new = 1', payload_columns => '{new}', event_type => 'odd.new');
    set DateStyle = 'SQL, DMY'; set TimeZone = 'Asia/Kolkata'; set IntervalStyle = iso_8601; set bytea_output = escape; set extra_float_digits = -10;
    set search_path = '';`);
  await client.query(
    `insert into shop.odd values (1, 'o', '{"a":1}', '(1,2)', 'good', '(1,x)', '{a,b}', '2026-01-02 03:04:05+00', '2026-01-02',
       '1 day 2 hours', '\\x00ff', 0.1::float8 + 0.2::float8, 1e30, '<a/>', '{"b": null}', 12.5, 'shop.orders')`,
  );
  // The row trigger comes first.
  const [picked, whole] = await sent();
  t.strictSame(whole, {
    type: 'odd.inserted',
    data: {
      new: {
        new: 1,
        old: 'o',
        'Order "x"': { a: 1 },
        spot: '(1,2)',
        kind: 'good',
        both_of: { a: 1, b: 'x' },
        list: ['a', 'b'],
        at: '2026-01-02T03:04:05+00:00',
        day: '2026-01-02',
        took: '1 day 02:00:00',
        raw: '\\x00ff',
        ratio: 0.30000000000000004,
        big: 1e30,
        doc: '<a/>',
        select: { b: null },
        price: '$12.50',
        name: 'shop.orders',
      },
    },
  });
  t.strictSame(picked, { type: 'odd.new.inserted', data: { new: { new: 1 } } });
  await client.query(`update shop.odd set at = now()`);
  t.strictSame(await sent(), []);
  await client.query(`update shop.odd set spot = '(1,3)'`);
  t.match(await sent(), [{ data: { changed: [] } }, { data: { changed: ['spot'] } }]);
  await client.query(`update shop.odd set "new" = 2; delete from shop.odd`);
  t.match(await sent(), [
    { type: 'odd.new.updated', data: { changed: ['new'], old: { new: 1 } } },
    { type: 'odd.updated', data: { changed: ['new'], old: { new: 1 } } },
  ]);
});

t.test('a table that goes takes its watches along', async (t) => {
  const { client, sent } = await start(t);
  const seen = async () => (await client.query('select id from posthorn.watches')).rows.length;
  await client.query(
    `select posthorn.watch('orders'), posthorn.watch('orders', ops => '{delete}')`,
  );
  t.equal(await seen(), 2);
  await client.query('drop table orders');
  t.equal(await seen(), 0);
  await client.query(`create table orders (id integer); insert into orders values (1)`);
  t.strictSame(await sent(), [], 'a new table of that name is not watched');
  await client.query(`select posthorn.watch('orders'); drop schema shop cascade`);
  t.equal(await seen(), 0);
  await client.query(
    `create table public.orders (id integer); select posthorn.watch('public.orders')`,
  );
  await client.query('alter table public.orders disable trigger user');
  t.strictSame((await client.query('select enabled from posthorn.watches')).rows, [
    { enabled: false },
  ]);
});

t.test('unwatch ends one watch, or all of a table, and leaves nothing', async (t) => {
  const { client, sent } = await start(t);
  const count = async () => {
    const { rows } = await client.query(
      `select (select count(*)::integer from pg_trigger where not tgisinternal and tgrelid = 'orders'::regclass) as triggers,
         (select count(*)::integer from pg_proc where proname like 'posthorn_watch_%') as functions`,
    );
    return rows[0];
  };
  const { rows } = await client.query<{ a: number; b: number }>(
    `select posthorn.watch('orders') as a, posthorn.watch('orders', ops => '{update}') as b, posthorn.watch('orders') as c`,
  );
  const { a, b } = rows[0] as { a: number; b: number };
  t.strictSame(await count(), { triggers: 7, functions: 3 });
  await client.query('begin');
  await client.query('select posthorn.unwatch($1)', [b]);
  await client.query('rollback');
  t.strictSame(await count(), { triggers: 7, functions: 3 });
  t.strictSame((await client.query(`select posthorn.unwatch(${b})`)).rows, [{ unwatch: 1 }]);
  t.strictSame(await count(), { triggers: 6, functions: 2 });
  await client.query('insert into orders values (1)');
  t.equal((await sent()).length, 2, 'several watches send each their own webhooks');
  t.strictSame((await client.query(`select posthorn.unwatch('orders'::regclass)`)).rows, [
    { unwatch: 2 },
  ]);
  t.strictSame(await count(), { triggers: 0, functions: 0 });
  await t.rejects(client.query('select posthorn.unwatch($1)', [a]), {
    code: '42704',
    message: `there is no watch ${a}`,
  });
  await t.rejects(client.query(`select posthorn.unwatch('orders')`), { code: '42704' });
});

t.test('a failing watch never fills the disk, and its count stays exact', async (t) => {
  const { client, databaseUrl } = await start(t);
  const pool = new pg.Pool({ connectionString: databaseUrl });
  t.teardown(() => pool.end());
  await client.query(
    `select posthorn.watch('orders', on_error => 'skip', "when" => '1 / new.total > 0')`,
  );
  const fail = async (times: number) => {
    for (let n = 0; n < times; n++) await client.query(`insert into orders values ($1, 0)`, [n]);
    await client.query('truncate orders');
  };
  const look = async () => {
    const { rows } = await client.query(
      `select failures::integer, last_error, (select count(*)::integer from posthorn.watch_failures) as rows from posthorn.watches`,
    );
    return rows[0];
  };
  await fail(250);
  await mergeWatchFailures(pool);
  t.strictSame(await look(), { failures: 250, last_error: 'division by zero', rows: 101 });
  await fail(60);
  await Promise.all([1, 2, 3].map(() => mergeWatchFailures(pool)));
  t.strictSame(await look(), { failures: 310, last_error: 'division by zero', rows: 161 });
  await fail(60);
  await Promise.all([1, 2, 3].map(() => mergeWatchFailures(pool)));
  const { rows, ...rest } = await look();
  t.strictSame(rest, { failures: 370, last_error: 'division by zero' });
  t.ok(rows <= 110, `${rows} rows are left`);
  await client.query(`select posthorn.unwatch('orders')`);
  await mergeWatchFailures(pool);
  t.equal((await client.query('select from posthorn.watch_failures')).rowCount, 0);
});

t.test(
  'a serialization failure is never swallowed, so the transaction can be tried again',
  async (t) => {
    const { client, databaseUrl } = await start(t);
    await client.query(`
    create table counted (n integer); insert into counted values (1);
    create function shop.count_up() returns boolean language plpgsql as 'begin update shop.counted set n = n + 1; return true; end';
    select posthorn.watch('orders', on_error => 'skip', "when" => 'shop.count_up()')`);
    const other = await connect(t, databaseUrl);
    await client.query('begin isolation level repeatable read; select 1 from counted');
    await other.query('update shop.counted set n = 10');
    await t.rejects(client.query('insert into orders values (1)'), { code: '40001' });
    await client.query('rollback');
  },
);
