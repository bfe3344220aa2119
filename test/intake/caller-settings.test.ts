import pg from 'pg';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createSender } from '../helpers/sender.ts';

/** What every function that is read as text says, so that it means the same in each session. */
const NEEDED = [
  'standard_conforming_strings=on',
  'transform_null_equals=off',
  'array_nulls=on',
  'DateStyle=ISO, MDY',
  'TimeZone=UTC',
  'search_path=pg_catalog, pg_temp',
];
/** Called for each webhook, by our own functions alone; nothing in it depends on a setting. */
const WITHOUT = ['event_type_patterns', 'matching_subscriptions'];
/** It runs the query of its caller, with the caller's rights and settings. */
const OF_THE_CALLER = ['send_query'];
/** These forbid to write, or end the session; that is what they are for. */
const NOT_MEANT = [
  'default_transaction_read_only',
  'transaction_read_only',
  'transaction_isolation',
  'transaction_deferrable',
  'exit_on_error',
];

t.test('each function says which settings it needs', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  const { rows } = await client.query<{
    name: string;
    as_text: boolean;
    definer: boolean;
    config: string[] | null;
  }>(
    `select p.proname as name, p.prosqlbody is null as as_text, p.prosecdef as definer, p.proconfig as config
     from pg_proc p
     where p.pronamespace = 'posthorn'::regnamespace and p.prokind = 'f'`,
  );
  t.ok(rows.length > 30);
  for (const { name, as_text, definer, config } of rows) {
    if (OF_THE_CALLER.includes(name))
      t.match({ definer, config }, { definer: false, config: null });
    else if ((as_text || definer) && !WITHOUT.includes(name)) {
      for (const setting of NEEDED) t.ok(config?.includes(setting), `${name}: ${setting}`);
    }
  }
});

type Send = [what: string, sql: string, values: unknown[]];
const DATA = { id: 7, total: 12.5, text: 'a\\b "quoted" – é', none: null, list: [1, [], {}] };
const one = (...values: unknown[]): Send => [
  JSON.stringify(values).slice(0, 100),
  'select posthorn.send($1, $2, $3, $4, $5, $6, $7)',
  [...values, ...[undefined, 'default', null, null, null, null].slice(values.length - 1)],
];
const type = (event_type: unknown) => one(event_type, DATA);
const channels = (list: unknown) => one('order.created', DATA, 'default', list);
const ordered = (key: unknown) => one('order.created', DATA, 'default', null, key);
const keyed = (key: unknown, data: unknown = DATA) =>
  one('order.created', data, 'default', null, null, key);

const SENDS: Send[] = [
  ...['order.created', 'a', 'A-b_c.9', 'x'.repeat(128)].map(type),
  ...['orderXcreated$', 'a..b', '.a', 'a.', 'a b', 'order.*', '', 'a\n', 'a\\', 'é', "'"].map(type),
  ...['x'.repeat(129), 'posthorn.subscription.disabled', 'posthorn', 'postXorn.a', null].map(type),
  ...[['project-42'], ['a', 'b:c.d_e'], ['NULL'], ['null', 'a']].map(channels),
  ...[[], ['a b'], ['a\\'], [''], ['x'.repeat(129)], Array(21).fill('a')].map(channels),
  ...['order-7', 'a\\b', 'NULL', "it's", ''].map(ordered),
  keyed('key-1'),
  keyed('key-1'),
  keyed('key-1', { other: true }),
  keyed('a\\b'),
  ...['', 'a\n', 'é', 'x'.repeat(256)].map((key) => keyed(key)),
  one('a', '"text"'),
  one('a', 'null'),
  one('a', null),
  one('a', JSON.stringify('x'.repeat(1024 * 1024))),
  one('a', DATA, 'nobody'),
  one('a', DATA, null),
  one('a', DATA, 'default', null, null, null, 2),
  one('a', DATA, 'default', null, null, null, 99),
  [
    'many',
    `select posthorn.send_many($1, $2, ordering_keys => $3, channels => '{a}')`,
    [
      ['a', 'b', 'order.paid'],
      ['1', '{"total": 200}', 'null'],
      ['k', 'l', 'NULL'],
    ],
  ],
  [
    'many of one type',
    'select posthorn.send_many($1, $2, ordering_keys => $3)',
    [
      ['order.paid', 'order.paid', 'order.paid'],
      ['1', '{"total": 200, "text": "a\\\\b"}', 'null'],
      ['k', 'a\\b', 'NULL'],
    ],
  ],
  // As SQL: the caller's own session reads "{NULL}" as it is set.
  ['no key', `select posthorn.send_many('{a,a}', '{1,2}', ordering_keys => array['k', null])`, []],
  ['no channel', `select posthorn.send('a', '1', channels => array[null]::pg_catalog.text[])`, []],
  ['headers', `select posthorn.send('a', '1', headers => $1)`, [{ 'X-Source': 'billing' }]],
  ['bad headers', `select posthorn.send('a', '1', headers => $1)`, [{ 'X-A': 'b', Host: 'c' }]],
  ['later', `select posthorn.send('b', '1', deliver_at => pg_catalog.now() + '1 hour')`, []],
  ['too late', `select posthorn.send('b', '1', deliver_at => 'infinity')`, []],
  ['json', `select posthorn.send_json('b', $1)`, ['{"b": 1.0, "a\\\\": "\\u0000"}']],
  ['no json', `select posthorn.send_json('b', $1)`, ['{"a\\x": 1}']],
  ['deep json', `select posthorn.send_json('b', $1)`, ['['.repeat(20_000) + ']'.repeat(20_000)]],
  ['deep and no json', `select posthorn.send_json('b', $1)`, ['["\\x",'.repeat(20_000)]],
  ['raw', `select posthorn.send_raw($1, event_type => 'b')`, [Buffer.from('{"data": 1}')]],
  ['raw text', `select posthorn.send_raw($1, $2, 'b')`, [Buffer.from('{"data": 2}'), 'text/plain']],
  ['no type', `select posthorn.send_raw($1, $2, 'b')`, [Buffer.from('{}'), 'text plain']],
  [
    'a query',
    'select posthorn.send_query($1)',
    [`values ('b'::pg_catalog.text, '{"data": 1}'::pg_catalog.jsonb, 'k'), ('b', null, null)`],
  ],
  ['a wrong query', 'select posthorn.send_query($1)', ['select 1']],
  ['uneven', 'select posthorn.send_many($1, $2)', [['a'], ['1', '2']]],
];

/** By the owner: what triggers of ours judge. */
const FILTERS: Send[] = [
  '$.total > 100',
  'exists($.a ? (@.b starts with "x\\"y"))',
  '$.**.a == 1',
  '$.a like_regex "x"',
  '$.a[1 + 1] == 2',
  '$.a == $.b',
  '$.a',
].map((filter, index) => [
  filter,
  'insert into posthorn.subscriptions (url, filter) values ($1, $2) returning filter_test, filter_cost',
  [`http://filtered.example/${index}`, filter],
]);

/** Sends all of it in a transaction that is rolled back, in a session that has these settings. */
async function sendAll(
  databaseUrl: string,
  sender: string,
  settings: [name: string, value: string][],
) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('begin');
    await client.query('create temp table limits (max_body_bytes bigint)');
    await client.query('create temp table tenants (id text, deleted_at timestamptz)');
    for (const [name, value] of settings)
      await client.query('select set_config($1, $2, true)', [name, value]);
    const answers: string[] = [];
    const earlier = new Map<string, string>();
    for (const [what, sql, values] of [...FILTERS, ...SENDS]) {
      if (what === SENDS[0]?.[0]) await client.query(`set local role ${sender}`);
      await client.query('savepoint before');
      try {
        const { rows } = await client.query({ text: sql, values, rowMode: 'array' });
        const ids = String(rows[0]);
        const isId = /^[0-9a-f-]{36}/.test(ids);
        answers.push(`${what}: ${earlier.get(ids) ?? (isId ? 'accepted' : ids)}`);
        if (isId) earlier.set(ids, `as ${what} before`);
      } catch (error) {
        await client.query('rollback to before');
        const { code, message, hint } = error as pg.DatabaseError;
        answers.push(`${what}: ${code} ${message} ${hint}`);
      }
    }
    await client.query('reset role');
    for (const [name] of settings) await client.query(`set local ${name} to default`);
    const stored = await client.query({
      rowMode: 'array',
      text: `select p.event_type, p.channels, p.ordering_key, posthorn.try_jsonb(p.body) -> 'data', p.headers, p.deliver_at is null,
          array(select s.url || ' ' || d.state from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id where d.webhook_id = p.id order by 1)
        from posthorn.webhook_payloads p order by p.id`,
    });
    const jobs = await client.query({
      rowMode: 'array',
      text: `select priority, json_array_length(payload -> 'webhooks') from graphile_worker._private_jobs order by id`,
    });
    return [answers, stored.rows, jobs.rows];
  } finally {
    await client.end();
  }
}

t.test('no setting of the caller changes what is sent, or what is refused and why', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(
    `insert into posthorn.subscriptions (url, event_types, channels, filter) values
       ('http://a.example/', '{order.*}', null, null), ('http://b.example/', '{b}', '{project-42,NULL}', null),
       ('http://c.example/', null, null, '$.total > 100')`,
  );
  const sender = await createSender(t, client, ['default']);
  // Each is what one of ours is called, and would be found first.
  await client.query(`
    create schema hostile;
    grant usage on schema hostile to public;
    create function hostile.to_char(timestamp, text) returns text language sql as $$ select 'hostile' $$;
    create function hostile.length(text) returns integer language sql as $$ select 1 $$;
    create function hostile.sha256(bytea) returns bytea language sql as $$ select ''::bytea $$;
    create function hostile.matches(text, text) returns boolean language sql as $$ select true $$;
    create operator hostile.~ (leftarg = text, rightarg = text, function = hostile.matches);
    create operator hostile.!~ (leftarg = text, rightarg = text, function = hostile.matches);
    create table hostile.tenants (id text);
    create domain hostile.text as pg_catalog.text check (false);
  `);
  const { rows } = await client.query<{ name: string; value: string }>(
    `select name, value
     from pg_settings, unnest(case vartype when 'bool' then array['on', 'off'] else enumvals end) as value
     where context = 'user' and vartype in ('bool', 'enum') and value <> setting and name <> all ($1)
     order by name, value`,
    [NOT_MEANT],
  );
  t.ok(rows.length > 60);
  // Limits of time end what they limit, and so many temporary buffers are more memory than there is.
  const { rows: numbers } = await client.query<{ name: string; value: string }>(
    `select name, value
     from pg_settings, unnest(array[min_val, max_val]) as value
     where context = 'user' and vartype in ('integer', 'real') and value <> setting
       and name !~ '(_timeout|^tcp_|^client_connection|^seed$|^temp_buffers$)'
     order by value = min_val, name`,
  );
  t.ok(numbers.length > 60, `${numbers.length} numbers`);
  const settings = [
    ...rows.map(({ name, value }): [string, string] => [name, value]),
    ['DateStyle', 'SQL, DMY'],
    ['DateStyle', 'German'],
    ['TimeZone', 'Pacific/Kiritimati'],
    ['TimeZone', 'Asia/Kolkata'],
    ['extra_float_digits', '-15'],
    ['search_path', 'hostile, pg_temp, pg_catalog'],
    ['search_path', ''],
    ['plpgsql.extra_errors', 'all'],
    ['posthorn.sent', 'many'],
    ['posthorn.sent', '99999999999'],
    ['posthorn.bulk', 'on'],
    ['work_mem', '64kB'],
  ] as [string, string][];
  const usual = await sendAll(databaseUrl, sender, []);
  const accepted = (usual[0] as string[]).filter((answer) => answer.endsWith(': accepted'));
  t.ok(accepted.length > 15 && accepted.length < SENDS.length - 20, `${accepted.length} accepted`);
  const groups = settings.map((setting) => [setting]);
  for (let n = 0; n < numbers.length; n += 20)
    groups.push(numbers.slice(n, n + 20).map(({ name, value }) => [name, value]));
  for (const group of groups)
    t.strictSame(
      await sendAll(databaseUrl, sender, group),
      usual,
      group.map(([name, value]) => `${name} = ${value}`).join(', '),
    );
});
