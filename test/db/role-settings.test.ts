import t, { type Test } from 'tap';
import { OperatorError } from '../../src/lib/errors.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

// An operator or a provider may give a role or a database settings that change what statements mean, or end them.

type Setting = readonly [name: string, value: string];

/** Posthorn works with each of these, since its sessions set what they rely on. */
const OVERRIDDEN: readonly Setting[] = [
  ['array_nulls', 'off'],
  ['bytea_output', 'escape'],
  ['client_encoding', 'LATIN1'],
  ['DateStyle', 'German'],
  ['default_transaction_deferrable', 'on'],
  ['default_transaction_isolation', 'repeatable read'],
  ['default_transaction_isolation', 'serializable'],
  ['exit_on_error', 'on'],
  ['extra_float_digits', '-15'],
  ['idle_in_transaction_session_timeout', '1ms'],
  ['idle_session_timeout', '1s'],
  ['IntervalStyle', 'iso_8601'],
  ['lock_timeout', '1ms'],
  ['plpgsql.extra_errors', 'all'],
  ['quote_all_identifiers', 'on'],
  ['restrict_nonsystem_relation_kind', 'view'],
  ['row_security', 'off'],
  ['search_path', ''],
  ['search_path', 'hostile, pg_catalog'],
  ['standard_conforming_strings', 'off'],
  ['statement_timeout', '5ms'],
  ['synchronous_commit', 'off'],
  ['TimeZone', 'Pacific/Kiritimati'],
  ['transaction_timeout', '50ms'],
  ['transform_null_equals', 'on'],
];

/** The start refuses these in one line. */
const REFUSED: readonly (readonly [...Setting, message: RegExp])[] = [
  [
    'default_transaction_read_only',
    'on',
    /^User "\w+" may only read "\w+" on \S+, because default_transaction_read_only is on\. .*alter role.*$/,
  ],
  [
    'session_replication_role',
    'replica',
    /^User "\w+" has a setting in "\w+" that Posthorn cannot work with and may not change: permission denied to set parameter "session_replication_role"\. .*alter role.*$/,
  ],
];

/** An empty database of a role that owns it, and can do no more. The role has these settings. */
async function databaseOfRole(t: Test, settings: readonly Setting[]) {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const database = /posthorn_test_\w+/.exec(databaseUrl)?.[0] as string;
  const role = `role_of_${database}`;
  const server = await connect(t, await createTestDatabase(t, { migrated: false }));
  await server.query(`create role ${role} login password 'secret'`);
  t.teardown(async () => {
    await server.query(`drop database ${database} with (force)`);
    await server.query(`drop role ${role}`);
  });
  await server.query(`alter database ${database} owner to ${role}`);
  const admin = await connect(t, databaseUrl);
  // Each is named as something that statements of ours use, and would be found first.
  await admin.query(`
    create schema hostile;
    grant usage on schema hostile to public;
    create function hostile.now() returns timestamptz language sql as $$ select timestamptz '2000-01-01' $$;
    create function hostile.length(text) returns integer language sql as $$ select 1 $$;
    create domain hostile.text as pg_catalog.text check (false)`);
  // Placeholders of an extension become settings when it is loaded.
  await admin.query(`load 'plpgsql'`);
  for (const [name, value] of settings) {
    const literal = name === 'search_path' && value !== '' ? value : `'${value}'`;
    await admin.query(`alter role ${role} set ${name} = ${literal}`);
  }
  return { url: databaseUrl.replace(/\/\/[^@/]*@/, `//${role}:secret@`), role, admin };
}

async function works(t: Test, settings: readonly Setting[]): Promise<void> {
  const { url, role, admin } = await databaseOfRole(t, settings);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end('ok');
  });
  const posthorn = await startTestService(t, { DATABASE_URL: url });
  const { json: subscription } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    event_types: ['order.*'],
    filter: '$.total > 100',
  });
  const data = { total: 200, text: 'a\\b é', none: null, at: '2026-11-28T00:00:00Z' };
  const send = () =>
    posthorn.request(
      'POST',
      '/v1/webhooks',
      { event_type: 'order.created', data },
      { 'idempotency-key': 'a\\b' },
    );
  const { status, json } = await send();
  t.equal(status, 202);
  t.equal((await send()).json.id, json.id, 'the repeated request is accepted once');
  const [, request] = await receiver.waitFor(2);
  t.strictSame(JSON.parse(String(request?.body)).data, data);
  const delivery = await until('it is delivered', async () => {
    const path = `/v1/deliveries?subscription_id=${subscription.id}`;
    const { json: list } = await posthorn.request('GET', path);
    return list.data[0]?.state === 'succeeded' && list.data[0];
  });
  t.equal(delivery.attempts_made, 2);
  t.ok(Math.abs(Date.parse(delivery.ended_at) - Date.now()) < 60_000, delivery.ended_at);
  if (settings.some(([name]) => name === 'idle_session_timeout'))
    await until('a session has been idle for longer than its role allows', async () => {
      const { rows } = await admin.query(
        `select from pg_stat_activity where usename = $1 and state_change < clock_timestamp() - interval '1500 ms'`,
        [role],
      );
      return rows.length > 0;
    });
  t.equal((await posthorn.request('GET', '/readyz')).status, 200);
  const { rows } = await admin.query(
    `select last_error from graphile_worker._private_jobs where last_error is not null`,
  );
  t.strictSame(rows, [], 'no job has failed');
}

/** A setting that has two values here is in two of them. */
const GROUPS = [0, 1, 2, 3].map((group) => OVERRIDDEN.filter((_, n) => n % 4 === group));

for (const group of GROUPS) {
  const named = group.map(([name, value]) => `${name} = '${value}'`).join(', ');
  t.test(`a role with ${named} migrates, sends and delivers`, async (t) => {
    const client = await connect(t, await createTestDatabase(t, { migrated: false }));
    const { rows } = await client.query<{ name: string }>(
      'select name from unnest($1::text[]) as name where current_setting(name, true) is not null',
      [group.map(([name]) => name)],
    );
    const known = new Set(rows.map(({ name }) => name));
    const settings = group.filter(([name]) => known.has(name) || name.includes('.'));
    t.ok(settings.length >= group.length - 2, 'this Postgres has nearly all of them');
    await works(t, settings);
  });
}

t.test('a role with all other settings changed at once migrates, sends and delivers', async (t) => {
  const client = await connect(t, await createTestDatabase(t, { migrated: false }));
  const named = [...OVERRIDDEN, ...REFUSED].map(([name]) => name);
  const { rows } = await client.query<{ name: string; value: string }>(
    `select name, case when vartype = 'enum' then enumvals[cardinality(enumvals)] when setting = 'on' then 'off' else 'on' end as value
     from pg_settings
     where context = 'user' and vartype in ('bool', 'enum') and name <> all ($1)
       and name !~ '^(debug_|log_|trace_|transaction_|ssl_|is_)'
       and category !~ '^(Developer|Reporting)'`,
    [named],
  );
  t.ok(rows.length > 40, `${rows.length} settings`);
  await works(
    t,
    rows.map(({ name, value }) => [name, value]),
  );
});

for (const [name, value, message] of REFUSED)
  t.test(`a role with ${name} = '${value}' is refused at start in one line`, async (t) => {
    const { url } = await databaseOfRole(t, [[name, value]]);
    const error = await startTestService(t, { DATABASE_URL: url }).catch((error) => error);
    t.ok(error instanceof OperatorError, error.stack);
    t.match(error.message, message);
  });
