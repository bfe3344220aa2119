import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { generateKey } from '../../src/keys/format.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function start(t: Test, env: Record<string, string> = {}): Promise<TestService> {
  return await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, ...env });
}

/** Makes a key and returns the answer; throws unless it was made. */
async function make(posthorn: TestService, fields: object): Promise<Reply> {
  const reply = await posthorn.request('POST', '/v1/keys', fields, admin);
  if (reply.status !== 201) throw new Error(`${reply.status} ${reply.text}`);
  return reply;
}

t.test('a key is shown once, and stored as its SHA-256', async (t) => {
  const posthorn = await start(t);
  const { json } = await make(posthorn, { scopes: ['read'], name: 'dashboard' });
  t.match(json.key, /^ph_live_[0-9A-Za-z]{36}$/);
  t.match(json, {
    tenant: 'default',
    name: 'dashboard',
    environment: 'live',
    scopes: ['read'],
    hint: json.key.slice(0, 12),
    expires_at: null,
    last_used_at: null,
    revoked_at: null,
  });
  const list = await posthorn.request('GET', '/v1/keys', undefined, admin);
  const { key, ...rest } = json;
  t.strictSame(list.json.data, [rest]);
  t.notOk(list.text.includes(key));

  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('select * from posthorn.keys');
  t.equal(rows.length, 1);
  t.equal(rows[0].hash.toString('hex'), createHash('sha256').update(key).digest('hex'));
  t.notOk(JSON.stringify(rows).includes(key));
});

t.test('a key with invalid fields is refused, with the field', async (t) => {
  const posthorn = await start(t);
  const cases: [fields: object, field: string, says: RegExp][] = [
    [{}, 'body.scopes', /missing/],
    [{ scopes: [] }, 'body.scopes', /fewer than 1/],
    [{ scopes: ['write'] }, 'body.scopes.0', /read, send, pull, manage, admin/],
    [{ scopes: ['admin'], tenant: 'default' }, 'body.tenant', /left out/],
    [{ scopes: ['read'], environment: 'prod' }, 'body.environment', /live, test/],
    [{ scopes: ['read'], expires_at: '2020-01-01T00:00:00Z' }, 'body.expires_at', /in the past/],
    [{ scopes: ['read'], expires_at: 'tomorrow' }, 'body.expires_at', /time such as/],
    [{ scopes: ['read'], tennant: 'acme' }, 'body.tennant', /not known/],
  ];
  for (const [fields, field, says] of cases) {
    const { status, json, text } = await posthorn.request('POST', '/v1/keys', fields, admin);
    t.equal(status, 400, text);
    const error = json.errors.find((one: { field: string }) => one.field === field);
    t.match(error?.message, says, text);
  }
  const nowhere = await posthorn.request(
    'POST',
    '/v1/keys',
    { scopes: ['read'], tenant: 'no' },
    admin,
  );
  t.equal(nowhere.status, 404);
  t.match(nowhere.json.detail, /no tenant no/);
});

t.test('the answer to an invalid key says why it is invalid', async (t) => {
  const posthorn = await start(t);
  const { json } = await make(posthorn, { scopes: ['read'] });
  const revoked = await make(posthorn, { scopes: ['read'] });
  const soon = new Date(Date.now() + 5_000).toISOString();
  const expiring = await make(posthorn, { scopes: ['read'], expires_at: soon });
  const ask = (key: string) => posthorn.request('GET', '/v1/stats', undefined, bearer(key));
  for (const { json } of [revoked, expiring]) t.equal((await ask(json.key)).status, 200);
  t.match(
    (await posthorn.request('DELETE', `/v1/keys/${revoked.json.id}`, undefined, admin)).json,
    {
      revoked_at: String,
    },
  );
  await until('the key has expired', async () => (await ask(expiring.json.key)).status === 401);
  await until('the key is revoked', async () => (await ask(revoked.json.key)).status === 401);
  const mistyped = `${json.key.slice(0, -1)}${json.key.endsWith('0') ? '1' : '0'}`;
  const cases: [headers: Record<string, string>, says: RegExp][] = [
    [{}, /has no key/],
    [{ authorization: `Basic ${json.key}` }, /has no key/],
    [bearer(mistyped), /mistyped or cut off/],
    [bearer(generateKey('live')), /does not exist/],
    [bearer(revoked.json.key), /revoked/],
    [bearer(expiring.json.key), new RegExp(`expired at ${soon}`)],
    [bearer('another admin key of some length'), /does not contain a key of this service/],
  ];
  for (const [headers, says] of cases) {
    const reply = await posthorn.request('GET', '/v1/stats', undefined, headers);
    t.equal(reply.status, 401, `${says}`);
    t.equal(reply.headers.get('content-type'), 'application/problem+json');
    t.equal(reply.headers.get('www-authenticate'), 'Bearer');
    t.match(reply.json.detail, says);
  }
  t.equal((await ask(json.key)).status, 200);
  const again = await posthorn.request('DELETE', `/v1/keys/${revoked.json.id}`, undefined, admin);
  t.equal(again.status, 404, 'what is revoked is gone');
});

t.test('a key that is revoked in one process is refused by another within a second', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const one = await start(t, { DATABASE_URL: databaseUrl });
  const other = await start(t, { DATABASE_URL: databaseUrl });
  const { json } = await make(one, { scopes: ['read'] });
  const ask = () => other.request('GET', '/v1/stats', undefined, bearer(json.key));
  t.equal((await ask()).status, 200);
  await one.request('DELETE', `/v1/keys/${json.id}`, undefined, admin);
  const revokedAt = Date.now();
  await until('the other process refuses it', async () => (await ask()).status === 401);
  t.ok(Date.now() - revokedAt < TOLD_MS);
});

t.test('known keys, and repeated guesses, are checked without a statement', async (t) => {
  const posthorn = await start(t);
  const { json } = await make(posthorn, { scopes: ['read'] });
  const guess = generateKey('live');
  const ask = async (key: string) =>
    (await posthorn.request('GET', '/v1/keys', undefined, bearer(key))).status;
  const client = await connect(t, posthorn.databaseUrl);
  /** The answers while nobody can look into the table. */
  const withoutTable = async (...keys: string[]): Promise<number[]> => {
    await client.query('alter table posthorn.keys rename to keys_elsewhere');
    const answers = [];
    for (const key of keys) answers.push(await ask(key));
    await client.query('alter table posthorn.keys_elsewhere rename to keys');
    return answers;
  };
  // Not at once: word of the new key may still be under way when it is first asked for.
  await until('they are remembered', async () => {
    t.strictSame([await ask(json.key), await ask(guess)], [403, 401]);
    const answers = await withoutTable(json.key, guess);
    return answers[0] === 403 && answers[1] === 401;
  });
  const [mistyped, unknown] = await withoutTable(`${guess.slice(0, -3)}000`, generateKey('live'));
  t.equal(mistyped, 401, 'a mistyped one is told by its checksum');
  t.equal(unknown, 500, 'only a new guess asks the table');
});

t.test('last_used_at of a key is exact to a minute', async (t) => {
  const posthorn = await start(t);
  const { json } = await make(posthorn, { scopes: ['read'] });
  const client = await connect(t, posthorn.databaseUrl);
  const lastUse = async () => {
    const { rows } = await client.query('select last_used_at from posthorn.keys');
    return rows[0].last_used_at as Date | null;
  };
  t.equal(await lastUse(), null);
  await posthorn.request('GET', '/v1/stats', undefined, bearer(json.key));
  const first = await until('its use is noted', lastUse);
  t.ok(Math.abs(Date.now() - first.getTime()) < 20_000);
  await posthorn.request('GET', '/v1/stats', undefined, bearer(json.key));
  // Any note of the second use would have been written before this answer's.
  const other = await make(posthorn, { scopes: ['read'] });
  await posthorn.request('GET', '/v1/stats', undefined, bearer(other.json.key));
  await until('the other use is noted', async () => {
    const { rows } = await client.query(
      'select count(last_used_at)::integer as n from posthorn.keys',
    );
    return rows[0].n === 2;
  });
  const { rows } = await client.query('select last_used_at from posthorn.keys where id = $1', [
    json.id,
  ]);
  t.equal(rows[0].last_used_at.getTime(), first.getTime(), 'not again within the minute');
});

t.test('each scope allows its operations, and a refusal names the missing scope', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await start(t);
  const id = (await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url }, admin))
    .json.id;
  const asks: [needs: string, method: string, path: string, body?: unknown][] = [
    ['read', 'GET', '/v1/subscriptions'],
    ['read', 'GET', `/v1/subscriptions/${id}`],
    ['read', 'GET', '/logs/deliverylogs'],
    ['send', 'POST', '/v1/webhooks', { event_type: 'a.b', data: 1 }],
    ['send', 'POST', `/ingest/${id}`, {}],
    ['manage', 'PATCH', `/v1/subscriptions/${id}`, { description: 'mine' }],
    ['manage', 'POST', '/subscriptions/createsubscription', { url: receiver.url }],
    ['admin', 'GET', '/v1/keys'],
    ['admin', 'GET', '/v1/tenants/default'],
  ];
  const allowed: Record<string, string[]> = {
    read: ['read'],
    send: ['send'],
    manage: ['manage', 'read'],
    admin: ['admin', 'manage', 'read', 'send'],
  };
  for (const [scope, allows] of Object.entries(allowed)) {
    const { json } = await make(posthorn, { scopes: [scope] });
    for (const [needs, method, path, body] of asks) {
      const reply = await posthorn.request(method, path, body, bearer(json.key));
      const what = `${scope}: ${method} ${path}: ${reply.text}`;
      if (allows.includes(needs)) {
        t.ok(reply.status < 300, what);
      } else {
        t.equal(reply.status, 403, what);
        t.equal(reply.headers.get('content-type'), 'application/problem+json');
        t.match(reply.json.detail, `the scope "${needs}"`, what);
      }
    }
  }
});

t.test('where no key is required, a request with a key is limited to that key', async (t) => {
  const posthorn = await startTestService(t);
  t.equal((await posthorn.request('GET', '/v1/keys')).status, 200, 'open, though keys exist');
  const { json } = await posthorn.request('POST', '/v1/keys', { scopes: ['read'] });
  t.equal((await posthorn.request('GET', '/v1/keys')).status, 200);
  const ask = (path: string, token: string) =>
    posthorn.request('GET', path, undefined, bearer(token));
  t.equal((await ask('/v1/stats', json.key)).status, 200);
  t.equal((await ask('/v1/keys', json.key)).status, 403);
  t.equal((await ask('/v1/stats', generateKey('live'))).status, 401);
  t.equal((await ask('/v1/stats', json.key.slice(0, -1))).status, 401);
  t.equal(
    (await ask('/v1/stats', 'eyJhbGciOiJIUzI1NiJ9.e30.x')).status,
    200,
    "a proxy's own token",
  );
});

t.test('keys are listed in pages, of all tenants or of one', async (t) => {
  const posthorn = await start(t);
  await posthorn.request('POST', '/v1/tenants', { id: 'acme' }, admin);
  for (let n = 0; n < 5; n++)
    await make(posthorn, { scopes: ['read'], tenant: n % 2 === 0 ? 'acme' : 'default' });
  await make(posthorn, { scopes: ['admin'] });
  const seen: number[] = [];
  let path = '/v1/keys?limit=4';
  for (;;) {
    const { json, headers } = await posthorn.request('GET', path, undefined, admin);
    seen.push(...json.data.map(({ id }: { id: number }) => id));
    if (json.next_cursor === null) break;
    path = /<(.*)>; rel="next"/.exec(headers.get('link') ?? '')?.[1] ?? '';
  }
  t.strictSame(seen, [1, 2, 3, 4, 5, 6]);
  const { json } = await posthorn.request('GET', '/v1/keys?tenant=acme', undefined, admin);
  t.strictSame(
    json.data.map(({ id }: { id: number }) => id),
    [1, 3, 5],
  );
});
