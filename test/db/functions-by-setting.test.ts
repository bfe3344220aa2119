// Every function that an application may call, and every view that it may read, in sessions with other settings. A
// function of ours is read and run with the settings of its caller, unless it sets its own.
// test/intake/caller-settings.test.ts does the same for the functions that send.
import pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole } from '../helpers/sender.ts';
import { addTenants, type OfTenant } from '../helpers/tenants.ts';

/** test/intake/caller-settings.test.ts calls these. */
const SENDING = ['send', 'send_many', 'send_json', 'send_raw', 'send_query'];

/** These forbid to write, or end the session; that is what they are for. Further tests below are about them. */
const NOT_MEANT = [
  'default_transaction_read_only',
  'transaction_read_only',
  'transaction_isolation',
  'transaction_deferrable',
  'exit_on_error',
  // Backfills are protected by a policy, and are refused without it (functions-by-role.test.ts).
  'row_security',
  'seed',
  // At its maximum, a temporary table needs more memory than there is.
  'temp_buffers',
];

type Setting = readonly [name: string, value: string];
type Statement = readonly [sql: string, values?: readonly unknown[]];
/** By the name of the function, or of the view that is read. Text stands in parameters, which no setting changes. */
type Calls = Readonly<Record<string, readonly Statement[]>>;

const rowsOf = (from: string, values: readonly unknown[] = []): Statement => [
  `select pg_catalog.to_jsonb(r) from posthorn.${from} as r`,
  values,
];
const WATCH =
  'select posthorn.watch($1, columns => $2, "when" => $3, ordering_key => $4, tenant => $5, per => $6, on_error => $7) is not null';
const PERIOD = ['2020-01-01T00:00:00Z', '2100-01-01T00:00:00Z'];
const ROW = [1, 12.5, 'a\\b "é"', '2026-01-02T03:04:05Z', '1 day 02:03:04', Buffer.from([0, 255])];

/** Changes of the table shop.orders, whose watches send. */
const CHANGES: readonly Statement[] = [
  [
    'insert into shop.orders values ($1, $2, $3, $4, $5, $6, 0.1, $7, 12.5)',
    [...ROW, 'shop.orders'],
  ],
  ['update shop.orders set ratio = ratio + 0.2 where id = $1', [1]],
  ['insert into shop.orders (id, note) values ($1, null), ($2, $3)', [2, 3, 'NULL']],
  ['delete from shop.orders where id = $1', [1]],
];

/** In this order. */
function callsFor({ tenant, webhook, subscription }: OfTenant): Calls {
  const subscribe = (names: string, ...values: unknown[]): Statement => [
    `select posthorn.subscribe($1, tenant => $2${names
      .split(' ')
      .map((name, n) => (name === '' ? '' : `, ${name} => $${n + 3}`))
      .join('')}) is not null`,
    ['https://a.example/hooks', tenant, ...values],
  ];
  return {
    readable_tenants: [['select posthorn.readable_tenants()']],
    committed_before: [['select posthorn.committed_before() is not null']],
    status: [rowsOf('status($1)', [webhook]), rowsOf('status(null)')],
    deliveries_between: [rowsOf('deliveries_between($1, $2)', PERIOD)],
    attempts_between: [rowsOf('attempts_between($1, $2)', PERIOD)],
    redact_url: [['select posthorn.redact_url($1)', ['https://a:b@c.example/\\d?e#f']]],
    try_jsonb: [
      ['select posthorn.try_jsonb($1)', [Buffer.from('{"a": "b\\\\c", "n": 1.50}')]],
      ['select posthorn.try_jsonb($1)', [Buffer.from('{"a": "\\u0000"}')]],
    ],
    uuidv7_floor: [['select posthorn.uuidv7_floor($1)::pg_catalog.text', [PERIOD[0]]]],
    uuidv7_time: [
      [
        `select extract(epoch from posthorn.uuidv7_time($1))`,
        ['01990000-0000-7000-8000-000000000000'],
      ],
    ],
    generate_secret: [['select posthorn.generate_secret()']],
    pause: [
      ['select posthorn.pause($1, $2)', [subscription, 'until "noon" \\ é']],
      ['select posthorn.pause($1)', [0]],
      ['select posthorn.pause($1, $2)', [subscription, 'x'.repeat(1001)]],
    ],
    resume: [['select posthorn.resume($1)', [subscription]]],
    retry: [
      ['select posthorn.retry($1)', [webhook]],
      ['select posthorn.retry($1, $2)', [webhook, 0]],
    ],
    cancel: [['select posthorn.cancel($1)', [webhook]], ['select posthorn.cancel(null)']],
    replay: [
      [
        'select posthorn.replay($1, $2, $3, $4, $5, 7)',
        [subscription, ...PERIOD, ['failed'], ['a.*']],
      ],
      ['select posthorn.replay($1, $2, states => $3)', [subscription, PERIOD[0], ['NULL']]],
      ['select posthorn.replay($1, $2, event_types => $3)', [subscription, PERIOD[0], ['a\\']]],
    ],
    replay_latest: [
      ['select posthorn.replay_latest($1, 7, $2)', [subscription, ['a.*']]],
      ['select posthorn.replay_latest($1)', [subscription]],
      ['select posthorn.replay_latest($1, event_types => $2)', [subscription, ['a\\']]],
    ],
    subscribe: [
      subscribe(''),
      subscribe(
        'event_types channels filter secret headers ordering retry_schedule timeout rate_limit rate_limit_per description metadata',
        ['order.*', 'NULL'],
        ['a:b'],
        '$.a like_regex "^x\\\\d" || $.b == 1',
        'a secret \\ "é"',
        { 'x-a': 'b\\c' },
        'strict',
        '5s,1m,2h',
        '00:00:10',
        50,
        '00:00:01',
        'orders \\ é',
        { a: 'b' },
      ),
      subscribe('event_types', ['orderXcreated$']),
      subscribe('event_types', ['a\\']),
      subscribe('channels', ['a\\b']),
      subscribe('filter', '$.a.double() > 1'),
      subscribe('secret', 'whsec_\\'),
      subscribe('headers', { Host: 'a' }),
      subscribe('headers', { 'x-a': 'a\nb' }),
      subscribe('retry_schedule', '5x'),
      subscribe('timeout', '00:00:00.01'),
      subscribe('metadata', ['a']),
      ['select posthorn.subscribe($1, tenant => $2)', ['https://a.example/\\', tenant]],
      ['select posthorn.subscribe($1, tenant => $2)', ['https://A.example/', tenant]],
      ['select posthorn.subscribe($1, tenant => $2)', ['https://a.example/', 'nobody']],
    ],
    check_condition: [
      [
        'select posthorn.check_condition($1, $2, $3, $4)',
        ['shop.orders', 'new.total > 1', 'watch', 'when'],
      ],
      [
        'select posthorn.check_condition($1, $2, $3, $4)',
        ['shop.orders', 'new.x > 1', 'watch', 'when'],
      ],
    ],
    check_watchable: [
      ['select posthorn.check_watchable($1, $2)', ['shop.orders', 'row']],
      ['select posthorn.check_watchable($1, $2)', ['posthorn.subscriptions', 'row']],
    ],
    require_columns: [
      ['select posthorn.require_columns($1, $2, $3)', ['shop.orders', ['id'], 'columns']],
      ['select posthorn.require_columns($1, $2, $3)', ['shop.orders', ['i\\d'], 'columns']],
    ],
    ordering_key_columns: [
      ['select posthorn.ordering_key_columns($1, $2)', ['shop.orders', 'pk']],
      ['select posthorn.ordering_key_columns($1, $2)', ['shop.orders', ' id,note']],
    ],
    watch_expressions: [
      rowsOf('watch_expressions($1, $2, $3)', [{ id: 1, event_type: 'a' }, ['id'], 'new']),
    ],
    watch_function_body: [
      [
        'select posthorn.watch_function_body($1, $2)',
        [{ id: 1, per: 'row', event_type: 'a' }, ['id']],
      ],
    ],
    watch: [
      [WATCH, ['shop.orders', null, null, 'id, note', tenant, 'statement', 'raise']],
      [WATCH, ['shop.orders', ['ratio'], "new.note <> 'x\\y'", 'pk', tenant, 'row', 'skip']],
      [WATCH, ['shop.orders', ['i\\d'], null, null, tenant, 'row', 'raise']],
      [WATCH, ['shop.orders', null, 'new.id +', null, tenant, 'row', 'raise']],
      [WATCH, ['shop.orders', null, 'new.note = null', null, tenant, 'row', 'raise']],
      [WATCH, ['shop.orders', null, null, null, 'nobody', 'row', 'raise']],
      ...CHANGES,
    ],
    find_watches: [['select count(*) from posthorn.find_watches($1)', ['shop.orders']]],
    send_watched: [
      [
        'select posthorn.send_watched(1, $1, $2, $3, null, $4, true)',
        [['a.b', 'a\\'], ['{"a": "b\\\\c"}', '2'], ['k', 'l'], tenant],
      ],
    ],
    note_watch_failure: [['select posthorn.note_watch_failure(100, 2, $1)', ['an \\ error']]],
    backfill: [
      ['select posthorn.backfill($1)', ['shop.orders']],
      [
        `select posthorn.backfill(w.id::pg_catalog.oid, "where" => $1, per_second => 100) is not null
         from (select id from posthorn.watches where per = 'row' and "when" is not null order by id) as w`,
        ["new.note <> 'x\\y' or new.note is null"],
      ],
    ],
    send_backfill: [
      ['select posthorn.send_backfill(0)'],
      ['select posthorn.send_backfill(b.id) is not null from posthorn.backfills b'],
    ],
    cancel_backfill: [
      ['select posthorn.cancel_backfill(0)'],
      ['select posthorn.cancel_backfill(b.id) from posthorn.backfills b'],
    ],
    unwatch: [
      ['select posthorn.unwatch($1)', ['shop.orders']],
      ['select posthorn.unwatch($1)', ['shop.orders']],
    ],
  };
}

/** Views and tables, each read between other calls: before anything is changed, and with watches and backfills. */
const REPORTS =
  `delivery_report attempt_report webhooks subscription_health deliveries report_subscriptions report_attempts counts_by_hour
  tenant_deliveries tenant_attempts tenant_webhooks tenant_subscriptions tenant_counts`.split(
    /\s+/,
  );
const OF_WATCHES = ['watches', 'backfills', 'backfill_runs'];

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const { acme } = await addTenants(client, ['default', 'acme', 'zeta']);
  const roles = [];
  for (const tenants of [null, ['acme']]) {
    const role = await createRole(t, client);
    await client.query(
      'select posthorn.allow_sender($1, $2), posthorn.allow_reporter($1, true, $2), posthorn.allow_manager($1, $2)',
      [role, tenants],
    );
    roles.push(role);
  }
  const [unlimited, ofAcme] = roles as [string, string];
  // Each is what a function of ours uses, and would be found first.
  await client.query(`
    create schema hostile;
    grant usage on schema hostile to public;
    create function hostile.length(text) returns integer language sql as $$ select 1 $$;
    create function hostile.now() returns timestamptz language sql as $$ select timestamptz '2000-01-01' $$;
    create function hostile.sha256(bytea) returns bytea language sql as $$ select ''::bytea $$;
    create function hostile.to_jsonb(anyelement) returns jsonb language sql as $$ select 'null'::jsonb $$;
    create function hostile.pg_has_role(oid, text) returns boolean language sql as $$ select true $$;
    create function hostile.matches(text, text) returns boolean language sql as $$ select true $$;
    create operator hostile.~ (leftarg = text, rightarg = text, function = hostile.matches);
    create operator hostile.!~ (leftarg = text, rightarg = text, function = hostile.matches);
    create table hostile.tenants (id text);
    create table hostile.subscriptions (id integer);
    create domain hostile.text as pg_catalog.text check (false);
    create schema shop;
    grant usage, create on schema shop to ${unlimited}, ${ofAcme};
    create table shop.orders (id integer primary key, total numeric, note text, at timestamptz, took interval, raw bytea,
      ratio float8, kind regclass, price money)`);
  return { databaseUrl, client, acme, unlimited, ofAcme };
}

/** An answer without what differs from call to call, and as no session writes it. */
function plain(told: unknown): string {
  return JSON.stringify(told)
    .replaceAll(/\\+"/g, '')
    .replaceAll('shop.orders', 'orders')
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-][\d:]+)?/g, '<time>')
    .replaceAll(/"(total_time|attempts_per_second)":[^,}]*/g, '"$1":"<now>"')
    .replaceAll(/whsec_[A-Za-z0-9+/=]{40,}/g, '<secret>')
    .replaceAll(/role_[0-9a-f]{12}/g, '<role>');
}

/** Calls everything as the role, in a transaction that is rolled back. Returns what was told, by the call, and stored. */
async function callAll(
  { databaseUrl, acme }: { readonly databaseUrl: string; readonly acme: OfTenant },
  role: string,
  settings: readonly Setting[],
): Promise<Record<string, string>> {
  const told: Record<string, string> = {};
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const attempt = async (name: string, [sql, values = []]: Statement) => {
    await client.query('savepoint one');
    try {
      const { rows } = await client.query({ text: sql, values: [...values], rowMode: 'array' });
      told[name] = rows.map(plain).sort().join('\n');
      await client.query('release one');
    } catch (error) {
      await client.query('rollback to one');
      if (!(error instanceof pg.DatabaseError)) throw error;
      told[name] = plain([error.code, error.message, error.detail, error.hint]);
    }
  };
  try {
    await client.query('begin');
    await client.query(`alter table shop.orders owner to ${role}`);
    await client.query(
      'alter sequence posthorn.watch_ids restart with 100; alter sequence posthorn.backfill_runs_id_seq restart',
    );
    await client.query('create temp table limits (max_body_bytes bigint)');
    await client.query('create temp table rights (role name, may text, tenants text[])');
    for (const [name, value] of settings)
      await client.query('select pg_catalog.set_config($1, $2, true)', [name, value]);
    await client.query(`set local role ${role}`);
    for (const name of REPORTS) await attempt(name, rowsOf(name));
    for (const [name, calls] of Object.entries(callsFor(acme))) {
      for (const [n, call] of calls.entries()) await attempt(`${name} ${n}: ${call[0]}`, call);
      if (name === 'backfill' || name === 'send_backfill')
        for (const view of OF_WATCHES) await attempt(`${view} after ${name}`, rowsOf(view));
    }
    await client.query('reset role');
    for (const [name] of settings) await client.query(`set local ${name} to default`);
    for (const [what, query] of Object.entries(STORED))
      told[what] = (await client.query({ text: query, rowMode: 'array' })).rows
        .map(plain)
        .join('\n');
    return told;
  } finally {
    await client.end();
  }
}

/** What the calls have stored. */
const STORED = {
  subscriptions: `select to_jsonb(s) - '{id,secret,created_at,updated_at,status_changed_at}'::text[],
      array(select e.event_type || ' ' || e.channel from posthorn.subscription_event_types e where e.subscription_id = s.id order by 1)
    from posthorn.subscriptions s order by s.id`,
  deliveries: `select to_jsonb(d) - 'subscription_id' from posthorn.deliveries d order by webhook_id, subscription_id`,
  tasks: `select to_jsonb(k) - '{subscription_id,since_id,until_id}'::text[] from posthorn.tasks k order by id`,
  payloads: `select event_type, tenant, ordering_key, content_type, convert_from(body, 'UTF8'),
      md5((convert_from(body, 'UTF8')::jsonb -> 'data')::text)
    from posthorn.webhook_payloads order by id`,
  failures: 'select webhooks, error from posthorn.watch_failures order by id',
  jobs: `select priority, run_at > now(), json_array_length(payload -> 'webhooks') from graphile_worker._private_jobs order by id`,
};

/** Differences between two answers, by the call. */
function differences(found: Record<string, string>, usual: Record<string, string>) {
  return Object.keys(usual)
    .filter((name) => found[name] !== usual[name])
    .map((name) => ({ name, found: found[name], usual: usual[name] }));
}

t.test('no setting changes what a function does or tells, or what a view shows', async (t) => {
  const started = await start(t);
  const { client, acme, unlimited, ofAcme } = started;
  const { rows: callable } = await client.query<{ name: string }>(
    `select distinct proname as name from pg_proc
     where pronamespace = 'posthorn'::regnamespace and has_function_privilege($1, oid, 'execute') order by 1`,
    [unlimited],
  );
  t.strictSame(
    callable.map(({ name }) => name).filter((name) => !SENDING.includes(name)),
    Object.keys(callsFor(acme)).sort(),
    'each function that an application may call is called here',
  );
  const { rows: readable } = await client.query<{ name: string }>(
    `select c.relname as name from pg_class c
     where c.relnamespace = 'posthorn'::regnamespace and c.relkind in ('r', 'p', 'v') and has_any_column_privilege($1, c.oid, 'select')
       and c.relname not in ('counting', 'counts_by_minute') order by 1`,
    [unlimited],
  );
  t.strictSame(
    readable.map(({ name }) => name),
    [...REPORTS, ...OF_WATCHES].sort(),
    'each view that an application may read is read here',
  );

  const named: Setting[] = [
    ['search_path', 'hostile, pg_temp, pg_catalog'],
    ['search_path', ''],
    ['search_path', 'shop'],
    ['DateStyle', 'SQL, DMY'],
    ['DateStyle', 'German'],
    ['TimeZone', 'Pacific/Kiritimati'],
    ['plpgsql.extra_errors', 'all'],
    ['default_text_search_config', 'pg_catalog.german'],
    ['timezone_abbreviations', 'India'],
    ['posthorn.notify', 'off'],
  ];
  const { rows: choices } = await client.query<{ name: string; value: string }>(
    `select name, value
     from pg_settings, unnest(case vartype when 'bool' then array['on', 'off'] else enumvals end) as value
     where context = 'user' and vartype in ('bool', 'enum') and value <> setting and name <> all ($1)
     order by row_number() over (partition by name), name`,
    [NOT_MEANT],
  );
  // Limits of time end what they limit.
  const { rows: numbers } = await client.query<{ name: string; value: string }>(
    `select name, value
     from pg_settings, unnest(array[min_val, max_val]) as value
     where context = 'user' and vartype in ('integer', 'real') and value <> setting and name <> all ($1)
       and name !~ '(_timeout|^tcp_|^client_connection)'
     order by value = min_val, name`,
    [NOT_MEANT],
  );
  // A setting that is in the way is found in its group.
  const groups = named.map((setting) => [setting]);
  for (let n = 0; n < choices.length; n += 20)
    groups.push(choices.slice(n, n + 20).map(({ name, value }): Setting => [name, value]));
  const forAcme = groups.slice();
  for (let n = 0; n < numbers.length; n += 20)
    groups.push(numbers.slice(n, n + 20).map(({ name, value }): Setting => [name, value]));
  t.ok(groups.flat().length > 150, `${groups.flat().length} settings in ${groups.length} groups`);

  for (const [kind, role, given] of [
    ['for all tenants', unlimited, groups],
    ['for acme', ofAcme, forAcme],
  ] as const) {
    const usual = await callAll(started, role, []);
    t.ok(Object.keys(usual).length > 80, `${Object.keys(usual).length} answers`);
    const answered = Object.values(usual).filter((told) => !/^\["[0-9A-Z]{5}"/.test(told));
    t.ok(answered.length > 50, `${answered.length} of them are no errors`);
    for (const settings of given)
      t.strictSame(
        differences(await callAll(started, role, settings), usual),
        [],
        `${kind}: ${settings.map(([name, value]) => `${name} = ${value}`).join(', ')}`,
      );
  }
});

/** Functions that change nothing. */
const READING = new Set(
  `readable_tenants committed_before status deliveries_between attempts_between redact_url try_jsonb uuidv7_floor
   uuidv7_time generate_secret check_condition check_watchable require_columns ordering_key_columns watch_expressions
   watch_function_body find_watches`.split(/\s+/),
);

t.test('a transaction that may only read calls what reads, and nothing else', async (t) => {
  const { client, acme, unlimited } = await start(t);
  await client.query(
    `alter table shop.orders owner to ${unlimited}; select posthorn.watch('shop.orders')`,
  );
  await client.query(`set role ${unlimited}`);
  for (const [name, [call]] of Object.entries(callsFor(acme))) {
    await client.query('begin read only');
    const [sql, values = []] = call as Statement;
    const code = await client.query(sql, [...values]).then(
      () => 'answered',
      ({ code }: pg.DatabaseError) => code,
    );
    t.equal(code, READING.has(name) ? 'answered' : '25006', name);
    await client.query('rollback');
  }
  for (const view of [...REPORTS, ...OF_WATCHES])
    await t.resolves(client.query(`begin read only; select * from posthorn.${view}; commit`), view);
});

t.test('a call that runs out of time leaves nothing behind', async (t) => {
  const { client, unlimited } = await start(t);
  await client.query(`set role ${unlimited}`);
  await client.query('begin; savepoint one; set local statement_timeout = 40');
  await t.rejects(
    client.query(
      `select posthorn.send_many(array_fill('a.b'::text, array[200000]), array_fill('1'::jsonb, array[200000]))`,
    ),
    { code: '57014' },
  );
  await client.query('rollback to one; set local statement_timeout = 0');
  await client.query(`select posthorn.send('a.b', '1')`);
  await client.query('commit; reset role');
  const { rows } = await client.query(
    `select (select count(*)::integer from pg_locks where pid = pg_backend_pid() and locktype = 'advisory') as locks,
       (select count(*)::integer from posthorn.webhook_payloads where event_type = 'a.b') as webhooks`,
  );
  t.strictSame(rows, [{ locks: 0, webhooks: 1 }]);
});
