import t, { type Test } from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };

interface Asking {
  readonly posthorn: TestService;
  readonly ask: (
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ) => ReturnType<TestService['request']>;
  /** A new key of a tenant, as headers. */
  readonly keyOf: (tenant: string, scopes?: string[]) => Promise<Record<string, string>>;
}

async function start(t: Test, env: Record<string, string> = {}): Promise<Asking> {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, ...env });
  const ask: Asking['ask'] = (method, path, body, headers = admin) =>
    posthorn.request(method, path, body, headers);
  return {
    posthorn,
    ask,
    async keyOf(tenant, scopes = ['manage', 'send', 'read']) {
      const { json, text } = await ask('POST', '/v1/keys', { tenant, scopes });
      if (json.key === undefined) throw new Error(text);
      return { authorization: `Bearer ${json.key}` };
    },
  };
}

t.test('a tenant can be created, listed, shown, changed and deleted', async (t) => {
  const { ask } = await start(t);
  const made = await ask('POST', '/v1/tenants', {
    id: 'acme',
    name: 'Acme Inc.',
    metadata: { plan: 'pro' },
  });
  t.equal(made.status, 201);
  t.match(made.json, { id: 'acme', name: 'Acme Inc.', metadata: { plan: 'pro' } });
  t.equal(made.headers.get('location'), '/v1/tenants/acme');
  const random = await ask('POST', '/v1/tenants', {});
  t.match(random.json, { id: /^tenant_[0-9A-Za-z]{20}$/, name: null, metadata: null });

  t.strictSame((await ask('GET', '/v1/tenants/acme')).json, made.json);
  const list = (await ask('GET', '/v1/tenants')).json;
  t.strictSame(
    list.data.map(({ id }: { id: string }) => id),
    ['acme', 'default', random.json.id],
  );
  const changed = await ask('PATCH', '/v1/tenants/acme', { name: 'Acme Ltd.' });
  t.match(changed.json, { name: 'Acme Ltd.', metadata: { plan: 'pro' } });
  t.match((await ask('PATCH', '/v1/tenants/acme', { metadata: null })).json, {
    name: 'Acme Ltd.',
    metadata: null,
  });
  t.match((await ask('PATCH', '/v1/tenants/acme', { retention: '168h' })).json, {
    name: 'Acme Ltd.',
    retention: '7d',
  });
  for (const retention of ['soon', '1m', '4000d', 7]) {
    const refused = await ask('PATCH', '/v1/tenants/acme', { retention });
    t.match(refused.json, { status: 400, errors: [{ field: 'body.retention' }] });
  }
  t.match((await ask('PATCH', '/v1/tenants/acme', { retention: null })).json, { retention: null });
  t.strictSame((await ask('DELETE', '/v1/tenants/acme')).json, {
    subscriptions: 0,
    cancelled: 0,
    task: null,
    keys: 0,
  });
  for (const method of ['GET', 'DELETE']) {
    const { status, json } = await ask(method, '/v1/tenants/acme');
    t.equal(status, 404);
    t.match(json.detail, /no tenant acme/);
  }
  t.equal((await ask('PATCH', '/v1/tenants/acme', { name: 'x' })).status, 404);
});

t.test('an id is never given twice, and the first tenant stays', async (t) => {
  const { ask } = await start(t);
  t.equal((await ask('POST', '/v1/tenants', { id: 'acme' })).status, 201);
  const taken = await ask('POST', '/v1/tenants', { id: 'acme' });
  t.equal(taken.status, 409);
  t.match(taken.json.detail, /already/);
  await ask('DELETE', '/v1/tenants/acme');
  const deleted = await ask('POST', '/v1/tenants', { id: 'acme' });
  t.equal(deleted.status, 409);
  t.match(deleted.json.detail, /was deleted.*cannot be used again/);
  const first = await ask('DELETE', '/v1/tenants/default');
  t.equal(first.status, 409);
  t.match(first.json.detail, /cannot be deleted/);
  for (const id of ['', '.', '../x', 'a b', 'ü', 'x'.repeat(65)])
    t.equal((await ask('POST', '/v1/tenants', { id })).status, 400, id);
});

t.test('tenants are listed in pages', async (t) => {
  const { ask } = await start(t);
  for (const id of ['d', 'b', 'a', 'c']) await ask('POST', '/v1/tenants', { id });
  const seen: string[] = [];
  let path = '/v1/tenants?limit=2';
  for (;;) {
    const { json, headers } = await ask('GET', path);
    seen.push(...json.data.map(({ id }: { id: string }) => id));
    if (json.next_cursor === null) break;
    path = /<(.*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1] ?? '';
  }
  t.strictSame(seen, ['a', 'b', 'c', 'd', 'default']);
});

t.test('a tenant with thousands of subscriptions is deleted with all of them', async (t) => {
  const many = 4_500;
  const { posthorn, ask } = await start(t, { POSTHORN_ROLE: 'api' });
  await ask('POST', '/v1/tenants', { id: 'acme' });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, event_types)
     select 'http://127.0.0.1:9/', 'acme', '{}' from generate_series(1, ${many})`,
  );
  await client.query(
    `insert into posthorn.subscriptions (url, event_types) values ('http://127.0.0.1:9/', '{}')`,
  );
  const { status, json } = await ask('DELETE', '/v1/tenants/acme');
  t.equal(status, 200);
  t.match(json, { subscriptions: many });
  const { rows } = await client.query(
    'select tenant, count(*)::integer as number from posthorn.subscriptions where deleted_at is null group by tenant',
  );
  t.strictSame(rows, [{ tenant: 'default', number: 1 }]);
});

t.test('deleting a tenant ends its subscriptions, unfinished deliveries and keys', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end();
  });
  const { posthorn, ask, keyOf } = await start(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  await ask('POST', '/v1/tenants', { id: 'acme' });
  const acme = await keyOf('acme');
  const mine = await ask('POST', '/v1/subscriptions', { url: receiver.url, secret: 's' }, acme);
  const other = await ask('POST', '/v1/subscriptions', { url: receiver.url });
  for (const headers of [acme, admin])
    t.match((await ask('POST', '/v1/webhooks', { event_type: 'a.b', data: 1 }, headers)).json, {
      deliveries: 1,
    });
  await until('both have failed once', async () => {
    const [own, others] = await Promise.all([
      ask('GET', '/v1/stats', undefined, acme),
      ask('GET', '/v1/stats'),
    ]);
    return own.json.retrying === 1 && others.json.retrying === 1;
  });

  t.strictSame((await ask('DELETE', '/v1/tenants/acme')).json, {
    subscriptions: 1,
    cancelled: 1,
    task: null,
    keys: 1,
  });
  const deletedAt = Date.now();
  await until('its key is refused', async () => {
    return (await ask('GET', '/v1/stats', undefined, acme)).status === 401;
  });
  t.ok(Date.now() - deletedAt < TOLD_MS);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query(
    `select d.state, s.tenant, s.secret, s.deleted_at is not null as deleted
     from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
     order by s.id`,
  );
  t.strictSame(
    rows.map((row) => ({ ...row })),
    [
      { state: 'cancelled', tenant: 'acme', secret: null, deleted: true },
      { state: 'pending', tenant: 'default', secret: null, deleted: false },
    ],
    'its history stays, and nobody else loses anything',
  );
  t.equal((await ask('GET', `/v1/subscriptions/${other.json.id}`)).status, 200);
  t.equal((await ask('GET', `/v1/subscriptions/${mine.json.id}?tenant=acme`)).status, 404);
  const late = `insert into posthorn.subscriptions (tenant, url) values ('acme', 'https://example.com')`;
  await t.rejects(client.query(late), { code: '23503', message: /no tenant "acme"/ });
});

t.test('a key with admin selects a tenant by ?tenant=, otherwise default', async (t) => {
  const receiver = await startReceiver(t);
  const { ask, keyOf } = await start(t);
  await ask('POST', '/v1/tenants', { id: 'acme' });
  const made = await ask('POST', '/v1/subscriptions?tenant=acme', { url: receiver.url });
  t.equal(made.status, 201);
  const at = `/v1/subscriptions/${made.json.id}`;
  t.equal((await ask('GET', at)).status, 404, 'it is not of the default tenant');
  t.equal((await ask('GET', `${at}?tenant=acme`)).status, 200);
  const sent = await ask('POST', '/v1/webhooks?tenant=acme', { event_type: 'a.b', data: 1 });
  t.equal(sent.json.deliveries, 1);
  const webhook = `/v1/webhooks/${sent.json.webhook_id}`;
  t.equal((await ask('GET', webhook)).status, 404);
  t.equal((await ask('GET', `${webhook}?tenant=acme`)).status, 200);
  const batch = { webhooks: [{ event_type: 'a.b', data: 1 }] };
  t.equal((await ask('POST', '/v1/webhooks/batch', batch)).json.webhooks[0].deliveries, 0);
  t.equal(
    (await ask('POST', '/v1/webhooks/batch?tenant=acme', batch)).json.webhooks[0].deliveries,
    1,
  );
  const acme = await keyOf('acme');
  t.equal((await ask('GET', `${at}?tenant=acme`, undefined, acme)).status, 200, 'its own name');

  const bad: [path: string, status: number, says: RegExp][] = [
    ['/v1/subscriptions?tenant=nope', 404, /no tenant nope/],
    ['/v1/subscriptions?tenant=', 404, /no tenant/],
    ['/v1/subscriptions?tenant=a%00b', 404, /no tenant/],
    [`/v1/subscriptions?tenant=${'x'.repeat(300)}`, 404, /no tenant/],
    ['/v1/subscriptions?tenant=acme&tenant=acme', 400, /query.tenant must be given once/],
    ['/v1/subscriptions?tennant=acme', 400, /query.tennant is not known here/],
    ['/v1/webhooks?tennant=acme', 400, /query.tennant is not known here/],
    ['/subscriptions/getsubscriptions?tenant=acme', 400, /query.tenant is not allowed outside of/],
    ['/v1/webhooks?tenant=nope', 404, /no tenant nope/],
  ];
  for (const [path, status, says] of bad) {
    const body = path.startsWith('/v1/webhooks') ? { event_type: 'a.b', data: 1 } : undefined;
    const reply = await ask(body === undefined ? 'GET' : 'POST', path, body);
    t.equal(reply.status, status, `${path}: ${reply.text}`);
    t.match(reply.json.detail, says, path);
  }
});

t.test('a tenant that is created in one process is known in others at once', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const one = await start(t, { DATABASE_URL: databaseUrl });
  const other = await start(t, { DATABASE_URL: databaseUrl });
  t.equal((await other.ask('GET', '/v1/stats?tenant=acme')).status, 404);
  await one.ask('POST', '/v1/tenants', { id: 'acme' });
  t.equal((await other.ask('GET', '/v1/stats?tenant=acme')).status, 200);
  await one.ask('DELETE', '/v1/tenants/acme');
  t.equal((await one.ask('GET', '/v1/stats?tenant=acme')).status, 404);
  const deletedAt = Date.now();
  await until('the other process has heard of it', async () => {
    return (await other.ask('GET', '/v1/stats?tenant=acme')).status === 404;
  });
  t.ok(Date.now() - deletedAt < TOLD_MS);
});

t.test('SQL cannot send to a tenant that does not exist', async (t) => {
  const { posthorn, ask } = await start(t);
  const client = await connect(t, posthorn.databaseUrl);
  await ask('POST', '/v1/tenants', { id: 'acme' });
  const send = (tenant: string) =>
    client.query('select posthorn.send($1, $2, tenant => $3)', ['a.b', '{}', tenant]);
  await t.resolves(send('acme'));
  await t.resolves(send('default'));
  await t.rejects(send('nope'), {
    code: '23503',
    message: 'there is no tenant "nope"',
    hint: /Create it by POST \/v1\/tenants/,
  });
  await t.rejects(
    client.query(`select posthorn.send_many(array['a.b'], array['{}']::jsonb[], 'nope')`),
    { code: '23503' },
  );
  await ask('DELETE', '/v1/tenants/acme');
  await t.rejects(send('acme'), { code: '23503' });
});

t.test('links have ?tenant= if the request had it', async (t) => {
  const receiver = await startReceiver(t);
  const { ask, keyOf } = await start(t);
  await ask('POST', '/v1/tenants', { id: 'acme' });
  const acme = await keyOf('acme');
  const { id } = (await ask('POST', '/v1/subscriptions', { url: receiver.url }, acme)).json;
  await ask('POST', '/v1/webhooks', { event_type: 'a.b', data: 1 }, acme);
  for (const [query, headers] of [
    ['?tenant=acme', admin],
    ['', acme],
  ] as const) {
    const { data } = (await ask('GET', `/v1/deliveries${query}`, undefined, headers)).json;
    t.equal(data.length, 1);
    const { retry, cancel, ...links } = data[0].links as Record<string, string>;
    for (const link of Object.values(links))
      t.equal((await ask('GET', link, undefined, headers)).status, 200, link);
    t.equal((await ask('POST', retry as string, undefined, headers)).status, 202);
    t.not((await ask('POST', cancel as string, undefined, headers)).status, 404);
    const since = '2026-01-31T12:00:00Z';
    const path = `/v1/subscriptions/${id}/recover${query}`;
    const task = (await ask('POST', path, { since }, headers)).json;
    t.equal((await ask('GET', task.links.self, undefined, headers)).status, 200);
  }
});
