// When a tenant is closed in a database, because it moves to another one, no request and no SQL function changes it there
// any more, also in a process that has not heard of the move. Such a change would be lost.
import pg from 'pg';
import t, { type Test } from 'tap';
import { closeTenant, openTenant } from '../../src/placement/fence.ts';
import { writeToken } from '../../src/pull/token.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { listOperations, type Operation } from '../helpers/operations.ts';
import { startTestService } from '../helpers/service.ts';

const WITHIN = { timeoutMs: 60_000 };
const MOVES = 'urn:posthorn:problem:tenant-moves';

/** Things of a tenant, by the names of the parameters that name them. */
interface Things {
  readonly tenant_id: string;
  readonly subscription_id: number;
  readonly paused: number;
  readonly pulled: number;
  readonly webhook_id: string;
  readonly failed: string;
  readonly key_id: number;
  readonly event_type: string;
  readonly token: string;
}

/** Creates a tenant that has one of everything. */
async function furnish(client: pg.Client, tenant: string): Promise<Things> {
  await client.query('insert into posthorn.tenants (id) values ($1)', [tenant]);
  const { rows } = await client.query<{ id: number }>(
    `insert into posthorn.subscriptions (tenant, url, signature_scheme, status) values
       ($1, 'https://example.com/a', 'hmac', 'active'), ($1, 'https://example.com/p', 'hmac', 'paused'),
       ($1, null, 'hmac', 'active') returning id`,
    [tenant],
  );
  const [subscription_id, paused, pulled] = rows.map(({ id }) => id) as [number, number, number];
  const send = async () =>
    (
      await client.query<{ id: string }>(
        `select posthorn.send('order.created', '{"a": 1}', $1) as id`,
        [tenant],
      )
    ).rows[0]?.id as string;
  const [failed, webhook_id] = [await send(), await send()];
  await client.query(
    `update posthorn.deliveries set state = 'failed', ended_at = now(), next_attempt_at = null
     where webhook_id = $1 and subscription_id <> $2`,
    [failed, pulled],
  );
  const leased = await client.query<{ webhooks: string[]; tokens: number[] }>(
    'select webhooks::text[], tokens from posthorn.lease_deliveries($1, 1, 1000, 3600000)',
    [pulled],
  );
  const { webhooks, tokens } = leased.rows[0] as (typeof leased.rows)[number];
  const key = await client.query<{ id: number }>(
    `insert into posthorn.keys (tenant, hash, hint, environment, scopes) values ($1, sha256(convert_to($1, 'UTF8')), 'x', 'live', '{send}') returning id`,
    [tenant],
  );
  await client.query(
    `insert into posthorn.event_types (tenant, name) values ($1, 'order.created')`,
    [tenant],
  );
  return {
    ...{ tenant_id: tenant, subscription_id, paused, pulled, webhook_id, failed },
    key_id: key.rows[0]?.id as number,
    event_type: 'order.created',
    token: writeToken({ webhookId: webhooks[0] as string, token: tokens[0] as number }),
  };
}

/** Returns all that a move takes along. */
async function rowsOf(client: pg.Client, tenant: string): Promise<string> {
  const of = `in (select id from posthorn.subscriptions where tenant = $1)`;
  const { rows } = await client.query(
    `select ${[
      `posthorn.tenants x where id = $1`,
      ...[
        'subscriptions',
        'event_types',
        'keys',
        'webhook_payloads',
        'idempotency_keys',
        'tasks',
      ].map((table) => `posthorn.${table} x where tenant = $1`),
      ...['deliveries', 'delivery_attempts', 'leases', 'circuits'].map(
        (table) => `posthorn.${table} x where subscription_id ${of}`,
      ),
    ]
      .map((from, n) => `(select json_agg(x order by x::text) from ${from}) as "${n}"`)
      .join(', ')}`,
    [tenant],
  );
  return JSON.stringify(rows[0], null, 1);
}

/** Values that a request needs, and that the example in the documentation does not have. */
const REQUESTS: Record<string, (things: Things) => { ids?: object; body?: unknown }> = {
  'POST /v1/keys': ({ tenant_id }) => ({ body: { tenant: tenant_id, scopes: ['send'] } }),
  'POST /v1/event-types': () => ({ body: { name: 'order.cancelled' } }),
  'POST /v1/subscriptions/{subscription_id}/resume': ({ paused }) => ({
    ids: { subscription_id: paused },
  }),
  'GET /v1/subscriptions/{subscription_id}/pull': ({ pulled }) => ({
    ids: { subscription_id: pulled },
  }),
  'POST /v1/subscriptions/{subscription_id}/acknowledge': ({ pulled, token }) => ({
    ids: { subscription_id: pulled },
    body: { results: [{ token, result: 'delivered' }] },
  }),
  'POST /v1/deliveries/{delivery_id}/retry': ({ failed, subscription_id }) => ({
    ids: { delivery_id: `${failed}.${subscription_id}` },
  }),
  'POST /v1/deliveries/{delivery_id}/cancel': ({ webhook_id, subscription_id }) => ({
    ids: { delivery_id: `${webhook_id}.${subscription_id}` },
  }),
  'POST /v1/deliveries/cancel': ({ subscription_id }) => ({ body: { subscription_id } }),
};

/** Requests that change nothing that a move takes along. */
const OTHERS: readonly string[] = [
  // Browsers sign in again, by new links.
  'POST /v1/session',
  'DELETE /v1/session',
  'POST /v1/session/portal',
  'POST /v1/tenants/{tenant_id}/portal',
  'DELETE /v1/tenants/{tenant_id}/portal',
  // Nothing is stored, or for a new tenant.
  'POST /v1/filters/test',
  'POST /v1/subscriptions/{subscription_id}/test',
  'POST /v1/tenants',
  // A tenant with these does not move.
  'POST /v1/tasks/{task_id}/cancel',
  'POST /v1/watches',
  'DELETE /v1/watches/{watch_id}',
  'POST /v1/watches/{watch_id}/backfills',
  'POST /v1/backfills/{backfill_id}/cancel',
];

/** The operations that change something of one tenant. The tenant default is left out, because it never moves. */
const mayChange = ({ method, path }: Operation) =>
  (method !== 'GET' || path.endsWith('/pull')) &&
  (path.startsWith('/v1/') || path.startsWith('/ingest/{')) &&
  !OTHERS.includes(`${method} ${path}`);

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  t.teardown(() => pool.end());
  const closed = await furnish(client, 'closed');
  return { databaseUrl, client, pool, closed };
}

t.test('no request changes anything of a closed tenant, and each says so', async (t) => {
  const { databaseUrl, client, pool, closed } = await start(t);
  // It knows no directory, as a process that has heard nothing.
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const call = ({ method, path, example }: Operation, things: Things) => {
    const { ids, body = example } = REQUESTS[`${method} ${path}`]?.(things) ?? {};
    const named: Record<string, unknown> = { ...things, ...ids };
    const at = path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => String(named[name]));
    return posthorn.request(method, `${at}?tenant=${things.tenant_id}`, body);
  };
  await closeTenant(pool, 'closed', WITHIN);
  const all = await rowsOf(client, 'closed');
  const operations = (await listOperations(posthorn)).filter(mayChange);
  for (const [n, operation] of operations.entries()) {
    const name = `${operation.method} ${operation.path}`;
    const open = await furnish(client, `open-${n}`);
    const before = await rowsOf(client, open.tenant_id);
    const { text } = await call(operation, open);
    t.ok((await rowsOf(client, open.tenant_id)) !== before, `${name} changes an open one: ${text}`);
    const { status, json } = await call(operation, closed);
    t.match({ status, json }, { status: 503, json: { type: MOVES } }, name);
    t.equal(await rowsOf(client, 'closed'), all, `${name} changes nothing of a closed tenant`);
  }
});

/** Calls of the SQL functions that applications use to change something of a tenant. */
const CALLS: Record<string, (things: Things) => string> = {
  send: ({ tenant_id }) => `'a.b', '{}', '${tenant_id}'`,
  send_many: ({ tenant_id }) => `'{a.b,a.c}', '{1,2}', '${tenant_id}'`,
  send_json: ({ tenant_id }) => `'a.b', '1', '${tenant_id}'`,
  send_raw: ({ tenant_id }) => `'x', 'text/plain', 'a.b', tenant => '${tenant_id}'`,
  send_query: ({ tenant_id }) => `'select ''a.b'', ''1''::jsonb', '${tenant_id}'`,
  subscribe: ({ tenant_id }) => `'https://example.com', tenant => '${tenant_id}'`,
  pause: ({ subscription_id }) => `${subscription_id}`,
  resume: ({ paused }) => `${paused}`,
  retry: ({ failed }) => `'${failed}'`,
  cancel: ({ webhook_id }) => `'${webhook_id}'`,
  replay: ({ subscription_id }) => `${subscription_id}, since => '2020-01-01'`,
  replay_latest: ({ subscription_id }) => `${subscription_id}`,
};
/** Functions of the same roles that change nothing of a tenant, or belong to watches: a tenant with a watch does not move. */
const OTHER_FUNCTIONS = `
  status committed_before generate_secret watch unwatch backfill send_backfill cancel_backfill find_watches check_watchable
  check_condition require_columns ordering_key_columns watch_function_body watch_expressions send_watched note_watch_failure`;

t.test('no SQL function changes anything of a closed tenant, and each says so', async (t) => {
  const { client, pool, closed } = await start(t);
  const { rows } = await client.query<{ name: string }>(
    `select distinct substring(p from 'execute on function posthorn[.]([a-z_]+)') as name
     from unnest('{send,manage}'::text[]) as may, posthorn.privileges_of_right(may, false, false) as p
     where p like 'execute%'`,
  );
  const named = [...Object.keys(CALLS), ...OTHER_FUNCTIONS.trim().split(/\s+/)];
  t.strictSame(rows.map(({ name }) => name).sort(), named.sort(), 'this test knows all functions');
  await closeTenant(pool, 'closed', WITHIN);
  const all = await rowsOf(client, 'closed');
  for (const [name, args] of Object.entries(CALLS)) {
    const open = await furnish(client, name);
    const before = await rowsOf(client, name);
    await client.query(`select posthorn.${name}(${args(open)})`);
    t.ok((await rowsOf(client, name)) !== before, `${name} changes an open tenant`);
    await t.rejects(
      client.query(`select posthorn.${name}(${args(closed)})`),
      { code: 'PH002' },
      name,
    );
    t.equal(await rowsOf(client, 'closed'), all, `${name} changes nothing of a closed tenant`);
  }
});

t.test('a change that is not committed yet is awaited, and comes along', async (t) => {
  const { databaseUrl, client, pool, closed } = await start(t);
  const changes = {
    ...Object.fromEntries(
      Object.entries(CALLS).map(([name, args]) => [name, `posthorn.${name}(${args(closed)})`]),
    ),
    pull: `posthorn.lease_deliveries(${closed.pulled}, 1, 1000, 1000)`,
  };
  const application = await connect(t, databaseUrl);
  for (const [name, change] of Object.entries(changes)) {
    await application.query(`begin; select ${change}`);
    await t.rejects(
      closeTenant(pool, 'closed', { timeoutMs: 0 }),
      /still open/,
      `${name} is awaited`,
    );
    await application.query('rollback');
    await client.query('begin isolation level repeatable read; select from posthorn.tenants');
    await closeTenant(pool, 'closed', WITHIN);
    await t.rejects(
      client.query(`select ${change}`),
      { code: /PH002|40001/ },
      `${name}, with an old snapshot`,
    );
    await client.query('rollback');
    await openTenant(pool, 'closed', WITHIN);
  }
});
