import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createSender } from '../helpers/sender.ts';

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(
    `insert into posthorn.subscriptions (url, event_types) values ('http://a.example/', '{order.*}')`,
  );
  const send = async (query: string | null, rest = ''): Promise<number> =>
    Number(
      (await client.query(`select posthorn.send_query($1${rest}) as sent`, [query])).rows[0].sent,
    );
  const stored = async () =>
    (
      await client.query({
        rowMode: 'array',
        text: `select event_type, convert_from(body, 'UTF8')::jsonb -> 'data', ordering_key
          from posthorn.webhook_payloads order by id`,
      })
    ).rows;
  return { client, send, stored };
}

t.test('a webhook is sent for each row of a query, in its order', async (t) => {
  const { client, send, stored } = await start(t);
  const queries: [query: string, rows: unknown[][]][] = [
    [`select 'order.a', '{"n": 1}'::jsonb`, [['order.a', { n: 1 }, null]]],
    [
      `values ('order.a', '1'::json), ('order.b', null)`,
      [
        ['order.a', 1, null],
        ['order.b', null, null],
      ],
    ],
    [
      `select 'order.a', to_jsonb(n), n from generate_series(3, 1, -1) as n`,
      [3, 2, 1].map((n) => ['order.a', n, String(n)]),
    ],
    [`select 'order.a' as x, '1'::jsonb as x, null as x`, [['order.a', 1, null]]],
    [`with a as (select 2 as n) select 'order.a', to_jsonb(n) from a ; `, [['order.a', 2, null]]],
    [`select 'order.a', '1'::jsonb -- the end`, [['order.a', 1, null]]],
    [`select 'order.a', '";"'::jsonb;;\n`, [['order.a', ';', null]]],
    [`select 'order.a', '1'::jsonb where false`, []],
  ];
  for (const [query, rows] of queries) {
    t.equal(await send(query), rows.length, query);
    t.strictSame(await stored(), rows, query);
    await client.query('delete from posthorn.webhook_payloads');
  }
  await client.query(
    'create table wanted as select 1 as id; create table wanted_types as select 1',
  );
  await client.query(`create function public.noted(n integer) returns jsonb language sql
    as $$ insert into wanted values (n) returning to_jsonb(id) $$`);
  t.equal(await send(`select 'order.a', public.noted(n) from generate_series(5, 7) as n`), 3);
  t.equal(
    (await client.query('select from wanted')).rowCount,
    4,
    'functions may write, once a row',
  );
  const more = `, channels => '{a}', deliver_at => now() + interval '1 hour', headers => '{"X-A": "b"}'`;
  await send(`select 'order.b', '1'::jsonb`, more);
  const { rows } = await client.query(
    `select channels, headers, deliver_at > now() as later from posthorn.webhook_payloads order by id desc limit 1`,
  );
  t.strictSame(rows, [{ channels: ['a'], headers: { 'x-a': 'b' }, later: true }]);
});

t.test('any other query is refused with the reason, and sends nothing', async (t) => {
  const { client, send, stored } = await start(t);
  await client.query('create table wanted (id integer)');
  const hint = /two or three columns/;
  const cases: [query: string | null, error: { code: string; message?: RegExp; hint?: RegExp }][] =
    [
      [null, { code: '22004', hint }],
      ['', { code: '42601', hint }],
      [`select 'order.a'`, { code: '22023', message: /has 1 columns/, hint }],
      [`select`, { code: '22023', message: /has 0 columns/, hint }],
      [`select 'order.a', '1'::jsonb, 'k', 1`, { code: '22023', message: /has 4 columns/, hint }],
      [`select 'order.a', '1'`, { code: '42804', message: /type text/, hint: /to_jsonb/ }],
      [`select 'order.a', 1`, { code: '42804', message: /type integer/ }],
      [`insert into wanted values (1)`, { code: '42601', hint }],
      [`insert into wanted values (1) returning 'order.a', '1'::jsonb`, { code: '42601', hint }],
      [
        `with w as (insert into wanted values (1) returning id) select 'order.a', '1'::jsonb from w`,
        { code: '0A000', hint },
      ],
      [`select 'order.a', '1'::jsonb; select 'order.a', '1'::jsonb`, { code: '42601', hint }],
      [
        `select 'order.a', '1'::jsonb) as q on false; insert into wanted values (1); select * from (select 1`,
        { code: '42601', hint },
      ],
      [`select 'order.a', '1'::jsonb /* open`, { code: '42601', hint }],
      ['nonsense', { code: '42601', hint }],
      ['select a, b from absent', { code: '42P01' }],
      [`select 'order a', '1'::jsonb`, { code: '22023', message: /not an event type/ }],
      [
        `select 'order.a', to_jsonb(1 / (n - 1500)) from generate_series(1, 3000) as n`,
        { code: '22012' },
      ],
    ];
  for (const [query, error] of cases) await t.rejects(send(query), error, String(query));
  await t.rejects(send(`select 'order.a', '1'::jsonb where false`, `, tenant => 'nobody'`), {
    code: '23503',
  });
  await t.rejects(send(`select 'order.a', '1'::jsonb`, `, headers => '{"Host": "a"}'`), {
    code: '22023',
  });
  t.strictSame(await stored(), []);
  t.equal((await client.query('select from wanted')).rowCount, 0);
});

t.test('the query runs with the rights and the search_path of the caller', async (t) => {
  const { client, send } = await start(t);
  await client.query(`
    create schema theirs;
    create table theirs.orders as select 1 as id;
    create table public.secrets as select 'x' as secret;`);
  const sender = await createSender(t, client);
  await client.query(`
    grant usage on schema theirs to ${sender};
    grant select on theirs.orders to ${sender};
    set search_path = theirs;
    set role ${sender}`);
  t.equal(await send(`select 'order.a', to_jsonb(orders) from orders`), 1);
  for (const table of ['public.secrets', 'posthorn.subscriptions'])
    await t.rejects(send(`select 'order.a', to_jsonb(x) from ${table} as x`), { code: '42501' });
});

/** The memory of the backend in megabytes, while its query sends. */
async function measureMemory(client: pg.Client): Promise<void> {
  await client.query(`
    create table public.sizes (megabytes numeric);
    create function public.measure() returns trigger language plpgsql as $$
    begin
      insert into public.sizes select sum(total_bytes) / 1024 / 1024 from pg_backend_memory_contexts;
      return null;
    end $$;
    create trigger measure after insert on posthorn.deliveries
      for each statement execute function public.measure()`);
}

t.test('the memory of the backend does not grow with the number of rows', async (t) => {
  const { client, send } = await start(t);
  await measureMemory(client);
  const rows = (number: number, bytes: number) =>
    `select 'order.paid', jsonb_build_object('id', n, 'text', repeat('x', ${bytes})), 'k' || n from generate_series(1, ${number}) as n`;
  const most = async () => {
    const { rows } = await client.query('select max(megabytes)::float as most from public.sizes');
    await client.query('delete from public.sizes');
    return rows[0].most as number;
  };
  t.equal(await send(rows(2_000, 200)), 2_000);
  const few = await most();
  t.equal(await send(rows(40_000, 200)), 40_000);
  const many = await most();
  t.ok(many < few + 3, `${few} MB for 2,000 rows, ${many} MB for 40,000`);
  t.equal(await send(rows(200, 100_000)), 200);
  const large = await most();
  t.ok(large < few + 20, `${large} MB for 200 rows of 100 kB`);
  t.equal((await client.query('select from posthorn.webhook_payloads')).rowCount, 42_200);
});
