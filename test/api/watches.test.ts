import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createLogin, revokeFromPublic } from '../helpers/roles.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${KEY}` };

async function start(t: Test) {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: KEY });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    create schema shop;
    create table shop.orders (id integer primary key, total numeric, note text, at timestamptz, paid boolean)`);
  const ask = (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = admin,
  ) => posthorn.request(method, path, body, headers);
  const watch = (options: object = {}) =>
    ask('POST', '/v1/watches', { schema: 'shop', table: 'orders', ...options });
  return { posthorn, client, ask, watch };
}

t.test('a table is watched, its rows are sent, and the watch ends, over HTTP', async (t) => {
  const { posthorn, client, ask, watch } = await start(t);
  const receiver = await startReceiver(t);
  await ask('POST', '/v1/subscriptions', { url: receiver.url, event_types: ['sales.*'] });
  const options = {
    ops: ['insert', 'update'],
    columns: ['total'],
    payload_columns: ['id', 'total'],
    when: 'new.total > 100',
    with_old: false,
    ordering_key: 'pk',
    tenant: 'default',
    per: 'row',
    event_type: 'sales',
    on_error: 'skip',
  };
  const { status, json, headers } = await watch(options);
  t.equal(status, 201);
  t.match(json, { ...options, id: 1, schema: 'shop', table: 'orders', enabled: true, failures: 0 });
  t.equal(headers.get('location'), '/v1/watches/1');
  await client.query(`insert into shop.orders values (1, 1), (2, 200), (3, 300)`);
  await receiver.waitFor(2);

  const begun = await ask('POST', '/v1/watches/1/backfills', {
    where: 'new.id <> 2',
    per_second: 50,
  });
  t.equal(begun.status, 202);
  t.equal(begun.headers.get('location'), '/v1/backfills/1');
  t.match(begun.json, {
    id: 1,
    watch_id: 1,
    table: 'orders',
    where: 'new.id <> 2',
    per_second: 50,
  });
  await until('it has ended', async () => {
    return (await ask('GET', begun.json.links.self)).json.state === 'succeeded';
  });
  t.match((await ask('GET', '/v1/backfills/1')).json, {
    rows_sent: 1,
    progress: 1,
    sent_by_workers: true,
    error: null,
  });
  await receiver.waitFor(3);
  const late = await ask('POST', '/v1/backfills/1/cancel');
  t.equal(late.status, 409);
  t.match(late.json.detail, /already ended, with the state succeeded/);

  const second = await ask('POST', '/v1/watches/1/backfills', { per_second: 1 });
  t.match((await ask('GET', '/v1/backfills?limit=1')).json.data, [{ id: second.json.id }]);
  const cancelled = await ask('POST', second.json.links.cancel);
  t.match([cancelled.status, cancelled.json.state], [200, 'cancelled']);

  t.match((await ask('DELETE', '/v1/watches/1')).json, { id: 1, event_type: 'sales' });
  t.equal((await ask('DELETE', '/v1/watches/1')).status, 404);
  t.equal((await ask('POST', '/v1/watches/1/backfills', {})).status, 404);
  t.equal((await ask('POST', '/v1/backfills/99/cancel')).status, 404);
  const { json: stats } = await posthorn.request('GET', '/v1/stats', undefined, admin);
  await client.query(`insert into shop.orders values (4, 400)`);
  t.equal(stats.webhooks, (await ask('GET', '/v1/stats')).json.webhooks);
});

t.test(
  'options that cannot work are refused with the field, and nothing is left behind',
  async (t) => {
    const { client, ask, watch } = await start(t);
    await client.query(
      'create view shop.view as select * from shop.orders; create temp table temp ()',
    );
    for (const [options, field, message] of [
      [{ table: 'none' }, 'table', /there is no "none" in the schema "shop"/],
      [{ table: 'Orders' }, 'table', /without quotes/],
      [{ table: 'view' }, 'table', /Watch the tables that it reads/],
      [{ schema: 'pg_catalog', table: 'pg_class' }, 'table', /system table/],
      [{ schema: 'posthorn', table: 'deliveries' }, 'table', /belongs to Posthorn/],
      [{ columns: ['none'] }, 'columns', /names the column "none".*Its columns are: id, total/],
      [{ payload_columns: ['none'] }, 'payload_columns', /"none"/],
      [{ tenant_column: 'none' }, 'tenant_column', /"none"/],
      [{ tenant: 'default', tenant_column: 'note' }, null, null],
      [{ tenant: 'acme', tenant_column: 'note' }, 'tenant_column', /Give one of them/],
      [{ tenant: 'nobody' }, 'tenant', /there is no tenant "nobody"/],
      [{ ordering_key: 'none' }, 'ordering_key', /"none"/],
      [{ event_type: 'a b' }, 'event_type', /event_type => 'orders'/],
      [{ event_type: 'posthorn' }, 'event_type', /another first word/],
      [{ per: 'rows' }, 'per', /statement/],
      [{ when: 'new.none > 1' }, 'when', /column new.none does not exist.*such as new.total > 100/],
      [{ when: 'new.total' }, 'when', /boolean/],
    ] as const) {
      const { status, json } = await watch(options);
      if (field === null) {
        t.equal(status, 201);
        continue;
      }
      t.equal(status, 400, JSON.stringify(options));
      t.match(json.errors, [{ field: `body.${field}`, message }]);
    }
    t.equal((await ask('GET', '/v1/watches')).json.data.length, 1);
    for (const [body, field] of [
      [{ where: 'old.id = 1' }, 'where'],
      [{ where: 'new.none' }, 'where'],
      [{ where: '(select true)' }, 'where'],
      [{ per_second: 0 }, 'per_second'],
    ] as const) {
      const { status, json } = await ask('POST', '/v1/watches/1/backfills', body);
      t.equal(status, 400, JSON.stringify(body));
      t.match(json.errors, [{ field: `body.${field}` }]);
    }
    t.strictSame((await ask('GET', '/v1/backfills')).json.data, []);
  },
);

t.test('a condition over HTTP compares values of the row, and can do nothing else', async (t) => {
  const { client, watch } = await start(t);
  await client.query(`
    create table shop.secrets (secret text);
    create function shop.is_big(numeric) returns boolean immutable language sql return $1 > 100;
    create function shop.note(numeric) returns boolean language sql as 'insert into shop.secrets values (1) returning true';
    create function shop.read() returns boolean stable language sql return exists (select from shop.secrets)`);
  for (const when of [
    'new.total > 100',
    `new.note in ('a', 'b') and new.total is distinct from old.total`,
    `new.note ~ '^a' or lower(new.note) like 'b%' -- a comment`,
    `new.at > now() - interval '1 day' and new.at::date > '2026-01-01'`,
    `coalesce(new.total, 0) between 1 and 2 and case when new.paid then true else old.paid end`,
    'shop.is_big(new.total)',
    `new.paid /* ) ; */`,
  ]) {
    const { status, text } = await watch({ when });
    t.equal(status, 201, `${when}: ${text}`);
  }
  for (const when of [
    'exists (select from shop.secrets)',
    `(select secret from shop.secrets limit 1) = 'a'`,
    'shop.note(new.total)',
    'shop.read()',
    `pg_read_file('/etc/passwd') = new.note`,
    `length(pg_read_file('/etc/passwd')) > 0`,
    `(pg_read_file('/etc/passwd'))::integer > 0`,
    `new.total > any (array[lo_import('/etc/passwd')::numeric])`,
    `query_to_xml('select 1', true, true, '') is not null`,
    `table_to_xml('shop.secrets', true, true, '') is not null`,
    `current_setting('is_superuser') = 'on'`,
    `set_config('role', 'none', false) = ''`,
    `posthorn.send('a', '1') is not null`,
    `nextval('posthorn.watch_ids') > 0`,
    'pg_sleep(10) is not null',
    `coalesce(pg_ls_dir('/') = 'a', true)`,
    'count(*) > 0',
    'row_number() over () = 1',
    'generate_series(1, 10) > 0',
    // More than one expression.
    'true); drop table shop.secrets; select (true',
    'true) union select from shop.secrets where (true',
    `true) execute function shop.f(); drop table shop.secrets; create trigger x after insert on shop.orders for each row when (true`,
    'true; drop table shop.secrets',
    'true) limit 0; drop table shop.secrets; select (true',
    'true) is not true then execute $x$drop table shop.secrets$x$; end if; if (true',
    'true /*',
    `new.note = 'a`,
    'new.note = $a$',
    '',
  ]) {
    const { status, json } = await watch({ when });
    t.equal(status, 400, `${when}: ${JSON.stringify(json)}`);
    t.match(json.errors, [{ field: 'body.when' }], when);
  }
  const { rows } = await client.query('select from shop.secrets');
  t.equal(rows.length, 0);
  // What was allowed works.
  await client.query(
    `update shop.orders set total = 1; insert into shop.orders values (1, 200, 'a', now(), true)`,
  );
});

t.test('only the scope admin creates and ends watches, and reads backfills', async (t) => {
  const { ask, watch } = await start(t);
  const made = await ask('POST', '/v1/keys', { scopes: ['manage', 'send', 'read'] });
  const tenant = { authorization: `Bearer ${made.json.key}` };
  await watch();
  await ask('POST', '/v1/watches/1/backfills', { per_second: 1 });
  for (const [method, path, body] of [
    ['POST', '/v1/watches', { schema: 'shop', table: 'orders' }],
    ['DELETE', '/v1/watches/1'],
    ['POST', '/v1/watches/1/backfills', {}],
    ['GET', '/v1/backfills'],
    ['GET', '/v1/backfills/1'],
    ['POST', '/v1/backfills/1/cancel'],
  ] as const) {
    t.equal((await ask(method, path, body, tenant)).status, 403, `${method} ${path}`);
    t.equal((await ask(method, path, body, {})).status, 401, `${method} ${path}`);
  }
  t.equal((await ask('GET', '/v1/watches')).json.data.length, 1);
});

t.test(
  'rights that are missing in the database are named, with the statement that gives them',
  async (t) => {
    // Not a superuser, which would have all rights.
    const databaseUrl = await createTestDatabase(t, { migrated: false });
    const own = await connect(t, databaseUrl);
    const database = await revokeFromPublic(own);
    const role = await createLogin(t, own);
    await own.query(`grant connect, create on database ${database} to ${role.name}`);
    const posthorn = await startTestService(t, { DATABASE_URL: role.url(databaseUrl) });
    const owner = await createRole(t, own);
    await own.query(`
      create schema shop;
      create table shop.orders (id integer);
      alter table shop.orders owner to ${owner}`);
    const watch = () =>
      posthorn.request('POST', '/v1/watches', { schema: 'shop', table: 'orders' });

    /** Does what the answers ask for, until there is nothing left to ask for. */
    const missing: string[] = [];
    for (let reply = await watch(); reply.status !== 201; reply = await watch()) {
      t.equal(reply.status, 409, reply.text);
      t.match(reply.json.errors, [{ field: 'body.table' }]);
      const [statement = ''] = /(?<=run: ).*;/.exec(reply.json.detail) ?? [];
      if (missing.includes(statement)) throw new Error(reply.json.detail);
      missing.push(statement);
      await own.query(statement);
    }
    t.strictSame(missing, [
      `grant ${owner} to ${role.name};`,
      `grant usage, create on schema shop to ${owner};`,
      `select posthorn.allow_sender('${owner}');`,
    ]);
    const [watched] = (await posthorn.request('GET', '/v1/watches')).json.data;
    t.match(watched, { owner, table: 'orders' });
    const path = `/v1/watches/${watched.id}`;
    const begun = await posthorn.request('POST', `${path}/backfills`, {});
    t.match([begun.status, begun.json.sent_by_workers], [202, false]);

    await own.query(`revoke ${owner} from ${role.name}`);
    for (const [method, at] of [
      ['DELETE', path],
      ['POST', `${path}/backfills`],
    ] as const) {
      const { status, json } = await posthorn.request(
        method,
        at,
        method === 'POST' ? {} : undefined,
      );
      t.equal(status, 409);
      t.match(json.detail, `belongs to the role "${owner}"`);
    }
    t.equal((await posthorn.request('GET', path)).status, 200);
  },
);

t.test('a table that is in use for long is not waited for', async (t) => {
  const { client, ask, watch } = await start(t);
  await client.query('begin; lock table shop.orders in row exclusive mode');
  const busy = await watch();
  t.equal(busy.status, 503);
  t.match(busy.json.detail, /Other transactions were using the table.*Nothing was changed/);
  await client.query('rollback');
  const { json } = await watch();
  const path = `/v1/watches/${json.id}`;
  await client.query('begin; lock table shop.orders in access share mode');
  t.equal((await ask('DELETE', path)).status, 503);
  await client.query('rollback');
  t.equal((await ask('DELETE', path)).status, 200);
});
