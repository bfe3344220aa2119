// Every function, table and view of the schema with every kind of role: who may use it, and what a role that is limited
// to a tenant learns of others.
import pg from 'pg';
import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createRole } from '../helpers/sender.ts';
import { addTenants, CONFIDENTIAL, type OfTenant } from '../helpers/tenants.ts';

/** The rights of a kind of role, each as it is given. */
const KINDS = {
  none: [],
  sender: ['allow_sender($1)'],
  'sender for acme': [`allow_sender($1, '{acme}')`],
  reporter: ['allow_reporter($1)'],
  'reporter with bodies': ['allow_reporter($1, true)'],
  'reporter of acme': [`allow_reporter($1, true, '{acme}')`],
  manager: ['allow_manager($1)'],
  'manager of acme': [`allow_manager($1, '{acme}')`],
  'all of acme': [
    ...[`allow_sender($1, '{acme}')`, `allow_reporter($1, true, '{acme}')`],
    `allow_manager($1, '{acme}')`,
  ],
} as const satisfies Record<string, readonly string[]>;
type Kind = keyof typeof KINDS;
const NAMES = Object.keys(KINDS) as Kind[];
const OF_ACME: readonly Kind[] = NAMES.filter((name) => name.endsWith('acme'));

/** Who may use something: everybody, the roles with one of the rights, or (`[]`) the owner alone. */
type Users = 'everybody' | readonly ('send' | 'read' | 'read all' | 'manage')[];

/** Functions that others than the owner may call. Any other function is the owner's alone. */
const FUNCTIONS: Readonly<Record<string, Users>> = {
  // They compute, and read nothing.
  redact_url: 'everybody',
  try_jsonb: 'everybody',
  uuidv7_floor: 'everybody',
  uuidv7_time: 'everybody',
  send: ['send'],
  send_many: ['send'],
  send_json: ['send'],
  send_raw: ['send'],
  send_query: ['send'],
  status: ['send', 'read', 'manage'],
  committed_before: ['send', 'read'],
  readable_tenants: ['read'],
  deliveries_between: ['read all'],
  attempts_between: ['read all'],
  subscribe: ['manage'],
  generate_secret: ['manage'],
  pause: ['manage'],
  resume: ['manage'],
  retry: ['manage'],
  cancel: ['manage'],
  replay: ['manage'],
  replay_latest: ['manage'],
  // posthorn.watch and what it calls run with the rights of the table's owner.
  backfill: ['send'],
  cancel_backfill: ['send'],
  check_condition: ['send'],
  check_watchable: ['send'],
  find_watches: ['send'],
  note_watch_failure: ['send'],
  ordering_key_columns: ['send'],
  require_columns: ['send'],
  send_backfill: ['send'],
  send_watched: ['send'],
  unwatch: ['send'],
  watch: ['send'],
  watch_expressions: ['send'],
  watch_function_body: ['send'],
};
/** Functions that only the owner may call. A new function is added here, or above. */
const OWNERS = `
  close_tenant open_tenant write_fence refuse_closed_tenant refuse_closed_change require_open require_open_subscriptions require_open_tenant notify_placement_changed
  note_quiet_history wake_history live_history write_live_views held_of_woken_days
  accept accept_general add_deliver_jobs allow_manager allow_reporter allow_right allow_sender allowed_tenants begin_task
  cancel_deliveries check_deliver_at check_filter check_headers check_json check_plain_condition check_sending claim_idempotency_keys count_json_elements create_partition deliver_job
  disable_subscription duration_ms enqueue_task ensure_backlog ensure_partitions ensure_reserve event_type_patterns
  event_types_problem filter_cost filter_is_predicate filter_problem filter_shape filter_test follow_circuit
  forget_circuit forget_secrets grant_rights headers_problem is_deep_json is_inet6 lease_deliveries list_matching_subscriptions list_partitions mark_commits
  matching_subscriptions notify_backlogs notify_event_type_rules_changed notify_event_types_changed notify_key_changed
  notify_subscription_changed notify_tenant_changed privileges_of_right refuse_body refuse_idempotency_key reopen report_answer report_failure
  report_success require_right require_sender require_subscription require_tenant require_tenant_of_subscription
  retry_refusal retry_schedule_problem revoke_manager revoke_reporter revoke_right revoke_sender secret_problem
  send_body send_notices send_operational_webhook send_subscription_event set_paused set_through_backlog store_idempotency_keys
  store_subscription_event_types store_webhook store_webhooks url_problem uuidv7 webhook_data webhook_head`
  .trim()
  .split(/\s+/);

/** Tables and views that others than the owner may read. */
const RELATIONS: Readonly<Record<string, Users>> = {
  delivery_report: ['read all'],
  attempt_report: ['read all'],
  webhooks: ['read all'],
  subscription_health: ['read all'],
  deliveries: ['read all'],
  // deliveries_between runs with the rights of its caller.
  report_subscriptions: ['read all'],
  report_attempts: ['read all'],
  tenant_deliveries: ['read'],
  tenant_attempts: ['read'],
  tenant_webhooks: ['read'],
  tenant_subscriptions: ['read'],
  tenant_counts: ['read'],
  counts_by_minute: ['read all'],
  counts_by_hour: ['read all'],
  counting: ['read all'],
  watches: ['send'],
  // A policy limits it to backfills of tables whose owner's rights the role has.
  backfills: ['send'],
  backfill_runs: ['send'],
};
/** Tables and sequences that roles other than the owner may write. A policy limits the backfills. */
const WRITTEN: Readonly<Record<string, Users>> = { backfill_runs: ['send'], watch_ids: ['send'] };

function mayUse(kind: Kind, users: Users): boolean {
  if (users === 'everybody') return true;
  const given = KINDS[kind].join();
  return users.some((right) => {
    if (right === 'read all') return /allow_reporter/.test(given) && !/acme/.test(given);
    return given.includes(
      { send: 'allow_sender', read: 'allow_reporter', manage: 'allow_manager' }[right],
    );
  });
}

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  // Ids that nothing else has.
  await client.query('alter sequence posthorn.subscriptions_id_seq restart with 4096001');
  const tenants = await addTenants(client, ['default', 'acme', 'zeta']);
  const roles = {} as Record<Kind, string>;
  for (const kind of NAMES) {
    roles[kind] = await createRole(t, client);
    for (const right of KINDS[kind]) await client.query(`select posthorn.${right}`, [roles[kind]]);
  }
  return { databaseUrl, client, tenants, roles };
}

t.test(
  'each function and each table is for the roles that have its right, and for no other',
  async (t) => {
    const { client, roles } = await start(t);
    const { rows: functions } = await client.query<{ oid: number; name: string }>(
      `select oid, proname as name from pg_proc where pronamespace = 'posthorn'::regnamespace order by proname`,
    );
    const unknown = functions.filter(({ name }) => !(name in FUNCTIONS) && !OWNERS.includes(name));
    t.strictSame(unknown, [], 'each function is in FUNCTIONS or in OWNERS');
    t.strictSame(
      [...Object.keys(FUNCTIONS), ...OWNERS].filter(
        (known) => !functions.some(({ name }) => name === known),
      ),
      [],
      'each name in these lists is that of a function',
    );
    for (const kind of NAMES) {
      const role = roles[kind];
      const { rows } = await client.query<{ name: string; may: boolean }>(
        `select proname as name, has_function_privilege($1, oid, 'execute') as may from pg_proc
       where pronamespace = 'posthorn'::regnamespace order by proname`,
        [role],
      );
      t.strictSame(
        rows.filter(({ may }) => may).map(({ name }) => name),
        Object.keys(FUNCTIONS)
          .filter((name) => mayUse(kind, FUNCTIONS[name] as Users))
          .sort(),
        `functions that a role may call: ${kind}`,
      );
      const { rows: relations } = await client.query<{
        name: string;
        reads: boolean;
        writes: boolean;
      }>(
        `select c.relname as name,
         c.relkind <> 'S' and has_any_column_privilege($1, c.oid, 'select') as reads,
         case when c.relkind = 'S' then has_sequence_privilege($1, c.oid, 'usage, select, update')
           else has_table_privilege($1, c.oid, 'insert, update, delete, truncate, references, trigger')
             or has_any_column_privilege($1, c.oid, 'insert, update, references') end as writes
       from pg_class c
       where c.relnamespace in ('posthorn'::regnamespace, 'graphile_worker'::regnamespace)
         and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
       order by c.relname`,
        [role],
      );
      t.strictSame(
        relations.filter(({ reads }) => reads).map(({ name }) => name),
        Object.keys(RELATIONS)
          .filter((name) => mayUse(kind, RELATIONS[name] as Users))
          .sort(),
        `tables and views that a role may read: ${kind}`,
      );
      const { rows: schemas } = await client.query<{ name: string }>(
        `select nspname as name from pg_namespace
         where nspname in ('posthorn', 'graphile_worker') and has_schema_privilege($1, oid, 'usage, create')
         order by 1`,
        [role],
      );
      t.strictSame(
        schemas.map(({ name }) => name),
        kind === 'none' ? [] : ['posthorn'],
        `the queue's own functions cannot be reached: ${kind}`,
      );
      t.strictSame(
        relations.filter(({ writes }) => writes).map(({ name }) => name),
        Object.keys(WRITTEN).filter((name) => mayUse(kind, WRITTEN[name] as Users)),
        `tables that a role may write: ${kind}`,
      );
    }
  },
);

/** Calls of each function that takes a tenant, or something of one. */
function callsFor({ tenant, webhook, subscription }: OfTenant): Record<string, readonly string[]> {
  return {
    send: [
      `posthorn.send('a', '1', '${tenant}')`,
      `posthorn.send('a', '1', '${tenant}', subscription_id => ${subscription})`,
    ],
    send_many: [`posthorn.send_many('{a,b}', '{1,2}', '${tenant}')`],
    send_json: [`posthorn.send_json('a', '1', '${tenant}')`],
    send_query: [`posthorn.send_query($$select 'a', '1'::jsonb$$, '${tenant}')`],
    send_raw: [`posthorn.send_raw('1', event_type => 'a', tenant => '${tenant}')`],
    status: [`posthorn.status('${webhook}')`],
    subscribe: [`posthorn.subscribe('https://a.example/', tenant => '${tenant}')`],
    pause: [`posthorn.pause(${subscription})`, `posthorn.pause(${subscription}, 'a')`],
    resume: [`posthorn.resume(${subscription})`],
    retry: [`posthorn.retry('${webhook}')`, `posthorn.retry('${webhook}', ${subscription})`],
    cancel: [`posthorn.cancel('${webhook}')`, `posthorn.cancel('${webhook}', ${subscription})`],
    replay: [`posthorn.replay(${subscription}, '2026-01-01')`],
    replay_latest: [`posthorn.replay_latest(${subscription})`],
    send_watched: [
      `posthorn.send_watched(1, '{a}', '{1}', null, null, '${tenant}', false)`,
      `posthorn.send_watched(1, '{a}', '{1}', null, '{${tenant}}', null, false)`,
    ],
  };
}
/** Functions that take nothing of a tenant, and calls of them. */
const OTHER_CALLS: Readonly<Record<string, readonly string[]>> = {
  committed_before: ['posthorn.committed_before()'],
  readable_tenants: ['posthorn.readable_tenants()'],
  generate_secret: ['posthorn.generate_secret()'],
  // A role that owns no table can watch none: test/watch/watch.test.ts.
  find_watches: [`posthorn.find_watches('pg_catalog.pg_class')`],
  check_condition: [
    `posthorn.check_condition('pg_catalog.pg_class', 'new.relname > ''a''', 'watch', 'when')`,
  ],
  check_watchable: [`posthorn.check_watchable('posthorn.subscriptions', 'row')`],
  require_columns: [`posthorn.require_columns('pg_catalog.pg_class', '{relname}', 'columns')`],
  note_watch_failure: [`posthorn.note_watch_failure(1, 1, 'a')`],
  backfill: [`posthorn.backfill('pg_catalog.pg_class')`],
  send_backfill: ['posthorn.send_backfill(1)'],
  cancel_backfill: ['posthorn.cancel_backfill(1)'],
  ordering_key_columns: [`posthorn.ordering_key_columns('pg_catalog.pg_class', 'relname')`],
  watch_expressions: [`posthorn.watch_expressions('{"id": 1, "event_type": "a"}', null, 'new')`],
  unwatch: [`posthorn.unwatch('pg_catalog.pg_class')`],
  watch: [`posthorn.watch('pg_catalog.pg_class')`],
  watch_function_body: [
    `posthorn.watch_function_body('{"id": 1, "per": "row", "event_type": "a"}', null)`,
  ],
  deliveries_between: [
    `(select count(*) from posthorn.deliveries_between('2020-01-01', '2100-01-01'))`,
  ],
  attempts_between: [
    `(select count(*) from posthorn.attempts_between('2020-01-01', '2100-01-01'))`,
  ],
  redact_url: [`posthorn.redact_url('https://a.example/?b')`],
  try_jsonb: [`posthorn.try_jsonb('{}')`],
  uuidv7_floor: ['posthorn.uuidv7_floor(now())'],
  uuidv7_time: [`posthorn.uuidv7_time('01990000-0000-7000-8000-000000000000')`],
};

/** What no tenant of the test has. */
const NONE = new Set(['watches', 'backfills', 'backfill_runs']);
/** Functions of OTHER_CALLS that are refused here, because the role owns no table to watch. */
const REFUSED = new Set(['backfill', 'find_watches', 'check_watchable', 'unwatch', 'watch']);

/** What reads backfills, whose rows a policy protects. Without row_security it is refused. */
const PROTECTED = new Set(['send_backfill', 'cancel_backfill', 'backfills', 'backfill_runs']);

/** What sessions may set, also to see what is not theirs. */
const HOSTILE: readonly (readonly string[])[] = [
  [],
  [`set local search_path = hostile, pg_temp, pg_catalog`],
  [`set local search_path = ''`],
  ['set local standard_conforming_strings = off'],
  [`set local DateStyle = 'German'`, `set local TimeZone = 'Pacific/Kiritimati'`],
  ['set local transform_null_equals = on', 'set local array_nulls = off'],
  ['set local row_security = off', 'set local plan_cache_mode = force_generic_plan'],
  [`set local posthorn.bulk = 'on'`, `set local posthorn.sent = '999'`],
  [
    'create temp table rights (role name, may text, tenants text[])',
    `create function pg_temp.pg_has_role(name, name, text) returns boolean language sql return true`,
    `create function pg_temp.allowed_tenants(text[]) returns text[] language sql return null::pg_catalog.text[]`,
    'set local search_path = pg_temp, hostile, pg_catalog',
  ],
  ['set local role none'],
  [
    'set local bytea_output = escape',
    'set local IntervalStyle = iso_8601',
    'set local extra_float_digits = -15',
    'set local jit = on',
    'set local jit_above_cost = 0',
    'set local quote_all_identifiers = on',
  ],
  ['set transaction isolation level serializable'],
];

/** The outcome of a statement: its SQLSTATE, or the number of its rows; and all that it tells. */
async function outcomeOf(
  client: pg.Client,
  statement: string,
): Promise<{ outcome: string; told: string }> {
  await client.query('savepoint one');
  try {
    const { rows } = await client.query(statement);
    return { outcome: `${rows.length} rows`, told: JSON.stringify(rows) };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    const { code, message, detail = '', hint = '', where = '' } = error;
    return { outcome: code ?? '', told: [message, detail, hint, where].join(' ') };
  } finally {
    await client.query('rollback to one');
  }
}

t.test(
  'each role calls and reads what it may, and with a limit to a tenant learns nothing of others',
  async (t) => {
    const { client, tenants, roles } = await start(t);
    await client.query(`
    create schema hostile;
    grant usage on schema hostile to public;
    create function hostile.pg_has_role(name, name, text) returns boolean language sql return true;
    create function hostile.pg_has_role(name, oid, text) returns boolean language sql return true;
    create function hostile.current_setting(text) returns text language sql return 'postgres';
    create function hostile.array_position(text[], text) returns integer language sql return 1;
    create function hostile.same(text, text) returns boolean language sql return true;
    create operator hostile.= (leftarg = text, rightarg = text, function = hostile.same);
    create table hostile.rights (role name, may text, tenants text[]);
    create table hostile.subscriptions (id integer)`);
    const callable = Object.keys(FUNCTIONS);
    const covered = new Set([...Object.keys(callsFor(tenants.acme)), ...Object.keys(OTHER_CALLS)]);
    t.strictSame(
      callable.filter((name) => !covered.has(name)),
      [],
      'each function that a role may call is called here',
    );
    /** All that a tenant must not learn of another. */
    const secretsOf = ({ tenant, webhook, subscription }: OfTenant) =>
      new RegExp(`${webhook}|receiver.example|${CONFIDENTIAL}|${subscription}|"${tenant}"`);

    for (const kind of NAMES) {
      const isLimited = OF_ACME.includes(kind);
      const usual = new Map<string, string>();
      // Settings matter most where there is a limit. test/db/functions-by-setting.test.ts has them all.
      for (const settings of isLimited ? HOSTILE : HOSTILE.slice(0, 2)) {
        await client.query('begin');
        await client.query(`set local session authorization ${roles[kind]}`);
        for (const setting of settings) await client.query(setting);
        for (const owned of isLimited
          ? [tenants.acme, tenants.zeta, tenants.default]
          : [tenants.acme]) {
          for (const [name, calls] of [
            ...Object.entries(callsFor(owned)),
            ...Object.entries(OTHER_CALLS),
          ])
            for (const call of calls) {
              const what = `${kind}, ${settings.join('; ')}: ${call}`;
              const { outcome, told } = await outcomeOf(client, `select * from ${call} as result`);
              // A role without a right does not reach the schema at all.
              const may = kind !== 'none' && mayUse(kind, FUNCTIONS[name] as Users);
              if (!may) t.equal(outcome, '42501', what);
              else if (
                PROTECTED.has(name) &&
                settings.some((one) => /row_security = off/.test(one))
              ) {
                t.equal(outcome, '42501', what);
                continue;
              } else if (owned !== tenants.acme && !(name in OTHER_CALLS)) {
                t.match(outcome, /^(42501|23503|0 rows)$/, what);
                // It may be told what it gave.
                const given = call.match(/[0-9a-f-]{36}|\d{7}|zeta|default/g) ?? [];
                const others = given.reduce((text, part) => text.replaceAll(part, '…'), told);
                t.notMatch(others, secretsOf(owned), what);
              } else if (REFUSED.has(name))
                t.match(outcome, /^(42809|42P01|42704)$/, `${what}: ${told}`);
              else if (name !== 'retry' && name !== 'cancel')
                t.match(outcome, /^1 rows$/, `${what}: ${told}`);
              const before = usual.get(call);
              if (before === undefined) usual.set(call, outcome);
              else t.equal(outcome, before, what);
            }
        }
        for (const relation of Object.keys(RELATIONS)) {
          const { outcome, told } = await outcomeOf(client, `select * from posthorn.${relation}`);
          const what = `${kind}, ${settings.join('; ')}: ${relation}`;
          const isBarred =
            PROTECTED.has(relation) && settings.some((one) => /row_security = off/.test(one));
          if (!mayUse(kind, RELATIONS[relation] as Users) || isBarred)
            t.equal(outcome, '42501', what);
          else if (isLimited) {
            t.equal(outcome, NONE.has(relation) ? '0 rows' : '1 rows', `${what}: ${told}`);
            t.notMatch(told, /zeta|default/, what);
          } else if (kind === 'reporter') t.notMatch(told, CONFIDENTIAL, what);
          else t.match(outcome, /^\d rows$/, `${what}: ${told}`);
        }
        await client.query('rollback');
      }
    }
  },
);

t.test('no limited role becomes another role by what it sets or calls', async (t) => {
  const { client, tenants, roles } = await start(t);
  const role = roles['all of acme'];
  const { rows } = await client.query('select current_user as owner');
  await client.query(`create schema theirs; grant usage, create on schema theirs to public`);
  await client.query('begin');
  await client.query(`set local session authorization ${role}`);
  for (const statement of [
    `set local role ${rows[0].owner}`,
    `select set_config('role', '${rows[0].owner}', true)`,
    `set local role ${roles.sender}`,
    `set local session_replication_role = replica`,
    `create function theirs.f() returns text[] language sql set role = '${roles.manager}' as 'select posthorn.readable_tenants()'; select theirs.f()`,
    `alter function posthorn.send set search_path = theirs`,
    `create or replace function posthorn.allowed_tenants(text[]) returns text[] language sql return null`,
    `create table posthorn.x ()`,
  ])
    t.match((await outcomeOf(client, statement)).outcome, /^(42501|42883|42P13|0A000)$/, statement);
  await client.query('rollback');

  // A function of another role runs with the rights of that role, which has none of its own here.
  const { zeta } = tenants;
  await client.query('set check_function_bodies = off');
  await client.query(`
    set role ${roles.none};
    create function theirs.send() returns uuid language sql security definer as
      $$ select posthorn.send('a', '1', 'zeta') $$;
    create function theirs.pause() returns void language sql security definer as
      $$ select posthorn.pause(${zeta.subscription}) $$;
    reset role`);
  // And with those of a role that may do all, the session still counts, because some role is limited.
  await client.query(`
    set role ${roles.manager};
    create function theirs.pause_it() returns void language sql security definer as
      $$ select posthorn.pause(${zeta.subscription}) $$;
    reset role;
    set role ${roles['reporter with bodies']};
    create function theirs.look() returns setof text language sql security definer as
      $$ select to_jsonb(r)::text from posthorn.tenant_webhooks r $$;
    reset role`);
  await client.query('begin');
  await client.query(`set local session authorization ${role}`);
  for (const [statement, outcome] of [
    ['select theirs.send()', '42501'],
    ['select theirs.pause()', '42501'],
    ['select theirs.pause_it()', '23503'],
    ['select theirs.look()', '1 rows'],
  ] as const) {
    const { outcome: found, told } = await outcomeOf(client, statement);
    t.equal(found, outcome, `${statement}: ${told}`);
    t.notMatch(told, /"zeta"/, statement);
  }
  await client.query('rollback');
});

t.test('the owner may do everything, for all tenants', async (t) => {
  const { client, tenants } = await start(t);
  await client.query('begin');
  for (const owned of Object.values(tenants))
    for (const [name, calls] of Object.entries({ ...callsFor(owned), ...OTHER_CALLS }))
      for (const call of calls)
        t.match(
          (await outcomeOf(client, `select * from ${call} as result`)).outcome,
          REFUSED.has(name) ? /^(42809|42P01|42704)$/ : /^1 rows$/,
          call,
        );
  await client.query('rollback');
  const { rows } = await client.query('select url from posthorn.subscriptions');
  t.ok(rows.every(({ url }) => url.includes(CONFIDENTIAL)));
});
