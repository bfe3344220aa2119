// A browser's session: from the sign-in with a key to its end.
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { sendWith } from '../helpers/raw.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const CSRF = { 'x-posthorn-csrf': '1' };
const NOWHERE = { url: 'https://receiver.example/' };
const DAY_MS = 86_400_000;

const start = (t: Test, env: Record<string, string> = {}) =>
  startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, POSTHORN_ROLE: 'api', ...env });

async function makeKey(
  posthorn: TestService,
  fields: object,
): Promise<{ id: number; key: string }> {
  const { status, json, text } = await posthorn.request('POST', '/v1/keys', fields, admin);
  if (status !== 201) throw new Error(text);
  return json;
}

/** Signs in and returns the cookie that a browser would send. */
async function signIn(
  posthorn: TestService,
  key: string,
): Promise<{ cookie: string; reply: Reply }> {
  const reply = await posthorn.request('POST', '/v1/session', { key });
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  const [cookie = ''] = (reply.headers.get('set-cookie') ?? '').split(';');
  return { cookie, reply };
}

t.test('a browser that signs in may do what the key may, and no more', async (t) => {
  const posthorn = await start(t);
  await posthorn.request('POST', '/v1/tenants', { id: 'acme' }, admin);
  const { key } = await makeKey(posthorn, { scopes: ['read'], tenant: 'acme' });
  const { cookie, reply } = await signIn(posthorn, key);
  t.match(reply.json, { signed_in: true, required: true, tenant: 'acme', scopes: ['read'] });
  t.notOk(reply.text.includes(key));

  const ask = (method: string, path: string, body?: unknown) =>
    posthorn.request(method, path, body, { cookie, ...CSRF });
  t.strictSame((await ask('GET', '/v1/session')).json, reply.json);
  t.equal((await ask('GET', '/v1/subscriptions')).status, 200);
  t.equal((await ask('POST', '/v1/subscriptions', NOWHERE)).status, 403);
  t.equal((await ask('GET', '/v1/subscriptions?tenant=default')).status, 404);
  t.equal((await ask('GET', '/v1/keys')).status, 403);
});

t.test('the cookie is out of reach of scripts and of other sites', async (t) => {
  const posthorn = await start(t);
  const cookieOf = async (headers: Record<string, string>) => {
    const reply = await posthorn.request('POST', '/v1/session', { key: ADMIN_KEY }, headers);
    t.equal(reply.headers.get('cache-control'), 'no-store');
    return reply.headers.get('set-cookie') ?? '';
  };
  const plain = await cookieOf({});
  t.match(
    plain,
    /^posthorn_session=a_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Strict$/,
  );
  for (const headers of [
    { 'x-forwarded-proto': 'https' },
    { origin: posthorn.url.replace('http:', 'https:'), 'sec-fetch-site': 'same-origin' },
  ])
    t.match(
      await cookieOf(headers),
      /^__Host-posthorn_session=a_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; Secure; SameSite=Strict$/,
    );
});

t.test('a session ends by signing out, in every process', async (t) => {
  const posthorn = await start(t);
  const second = await start(t, { DATABASE_URL: posthorn.databaseUrl });
  const { cookie } = await signIn(posthorn, ADMIN_KEY);
  const list = (service: TestService) =>
    service.request('GET', '/v1/subscriptions', undefined, { cookie });
  t.equal((await list(second)).status, 200);

  const out = await posthorn.request('DELETE', '/v1/session', undefined, { cookie, ...CSRF });
  t.match(out.json, { signed_in: false, required: true, scopes: [], expires_at: null });
  t.match(out.headers.get('set-cookie'), /^posthorn_session=; .*Expires=Thu, 01 Jan 1970/);
  for (const service of [posthorn, second]) {
    const { status, json } = await list(service);
    t.equal(status, 401);
    t.match(json.detail, /session has ended/);
    const { json: session } = await service.request('GET', '/v1/session', undefined, { cookie });
    t.match(session, { signed_in: false, required: true });
  }
});

t.test('a session ends when its key is revoked', async (t) => {
  const posthorn = await start(t);
  const { id, key } = await makeKey(posthorn, { scopes: ['read'] });
  const { cookie } = await signIn(posthorn, key);
  const list = () => posthorn.request('GET', '/v1/subscriptions', undefined, { cookie });
  t.equal((await list()).status, 200);
  await posthorn.request('DELETE', `/v1/keys/${id}`, undefined, admin);
  await until('the session is refused', async () => (await list()).status === 401, TOLD_MS);
  t.match((await list()).json.detail, /revoked/);
  const { json } = await posthorn.request('GET', '/v1/session', undefined, { cookie });
  t.match(json, { signed_in: false, tenant: null, scopes: [], expires_at: null });
});

t.test(
  'a session of the admin key ends when that key changes; one of another key does not',
  async (t) => {
    const posthorn = await start(t);
    const { key } = await makeKey(posthorn, { scopes: ['read'] });
    const ofAdmin = await signIn(posthorn, ADMIN_KEY);
    const ofKey = await signIn(posthorn, key);
    const changed = await start(t, {
      DATABASE_URL: posthorn.databaseUrl,
      POSTHORN_ADMIN_KEY: 'another admin key of some length',
    });
    const list = async ({ cookie }: { cookie: string }) =>
      (await changed.request('GET', '/v1/subscriptions', undefined, { cookie })).status;
    t.equal(await list(ofAdmin), 401);
    t.equal(await list(ofKey), 200);
  },
);

t.test('a session ends after 12 hours, or with its key if that is earlier', async (t) => {
  const posthorn = await start(t);
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const later = new Date(Date.now() + DAY_MS).toISOString();
  const short = await makeKey(posthorn, { scopes: ['read'], expires_at: soon });
  const long = await makeKey(posthorn, { scopes: ['read'], expires_at: later });
  t.equal((await signIn(posthorn, short.key)).reply.json.expires_at, soon);
  const { cookie, reply } = await signIn(posthorn, long.key);
  const left = Date.parse(reply.json.expires_at) - Date.now();
  t.ok(left > 11 * 3_600_000 && left <= 12 * 3_600_000, `${left} ms`);

  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`update posthorn.sessions set expires_at = now() - interval '1 second'`);
  const { status } = await posthorn.request('GET', '/v1/subscriptions', undefined, { cookie });
  t.equal(status, 401);
});

t.test('the table of sessions has no token and no key', async (t) => {
  const posthorn = await start(t);
  const { key } = await makeKey(posthorn, { scopes: ['read'] });
  const cookies = [await signIn(posthorn, key), await signIn(posthorn, ADMIN_KEY)];
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query<{ text: string }>(
    `select concat_ws(' ', s::text, encode(s.hash, 'escape')) as text from posthorn.sessions s`,
  );
  t.equal(rows.length, 2);
  for (const { text } of rows)
    for (const secret of [
      key,
      ADMIN_KEY,
      ...cookies.map(({ cookie }) => cookie.split('=')[1] ?? ''),
    ])
      t.notOk(text.includes(secret));
});

t.test('a page of another site cannot use the session of its visitor', async (t) => {
  const posthorn = await start(t);
  const { cookie } = await signIn(posthorn, ADMIN_KEY);
  const { host } = new URL(posthorn.url);
  const send = (method: string, headers: Record<string, string>) =>
    sendWith(
      `${posthorn.url}/v1/subscriptions`,
      method,
      { cookie, ...(method === 'GET' ? {} : { 'content-type': 'application/json' }), ...headers },
      method === 'GET' ? undefined : JSON.stringify(NOWHERE),
    );
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site', origin: `http://${host}` },
  ];
  for (const headers of foreign)
    for (const method of ['GET', 'POST']) {
      const { status, text } = await send(method, { ...headers, ...CSRF });
      t.equal(status, 403, `${method} ${JSON.stringify(headers)}`);
      t.match(JSON.parse(text), { type: 'urn:posthorn:problem:foreign-page' });
    }
  // A form of a page that shares the origin's site, in a browser that sends no Sec-Fetch-Site.
  const { status, text } = await send('POST', {});
  t.equal(status, 403);
  t.match(JSON.parse(text).detail, /x-posthorn-csrf: 1/);

  t.equal((await send('POST', CSRF)).status, 201);
  const own = { origin: `http://${host}`, 'sec-fetch-site': 'same-origin', ...CSRF };
  t.equal((await send('POST', own)).status, 201);
  // Behind a proxy that changes Host.
  const proxied = { ...own, host: 'upstream:5000', origin: 'https://hooks.example' };
  t.equal((await send('POST', proxied)).status, 201);
});

t.test('a page of another site cannot sign its visitor in or out', async (t) => {
  const posthorn = await start(t);
  const { cookie } = await signIn(posthorn, ADMIN_KEY);
  const from = { origin: 'https://evil.example', 'content-type': 'application/json' };
  const body = JSON.stringify({ key: ADMIN_KEY });
  t.equal((await sendWith(`${posthorn.url}/v1/session`, 'POST', from, body)).status, 403);
  const out = { cookie, origin: 'https://evil.example', ...CSRF };
  t.equal((await sendWith(`${posthorn.url}/v1/session`, 'DELETE', out)).status, 403);
  t.equal((await posthorn.request('DELETE', '/v1/session', undefined, { cookie })).status, 403);
  t.equal((await posthorn.request('GET', '/v1/keys', undefined, { cookie })).status, 200);
});

t.test('the answer to a key that cannot sign in says why', async (t) => {
  const posthorn = await start(t);
  const { id, key } = await makeKey(posthorn, { scopes: ['read'] });
  await posthorn.request('DELETE', `/v1/keys/${id}`, undefined, admin);
  const cases: [key: string, says: RegExp][] = [
    ['not the admin key', /not contain a key of this service/],
    [`${key}x`, /mistyped or cut off/],
    [key, /revoked/],
  ];
  for (const [key, says] of cases) {
    const { status, json, headers } = await posthorn.request('POST', '/v1/session', { key });
    t.equal(status, 401);
    t.match(json.detail, says);
    t.equal(headers.get('set-cookie'), null);
  }
  const { status, json } = await posthorn.request('POST', '/v1/session', {});
  t.equal(status, 400);
  t.match(json.errors, [{ field: 'body.key' }]);
});

t.test(
  'guessing the admin key is limited, and does not keep out those who have a key',
  async (t) => {
    const posthorn = await start(t);
    const { key } = await makeKey(posthorn, { scopes: ['read'] });
    const guess = (key: string) => posthorn.request('POST', '/v1/session', { key });
    for (let tries = 0; tries < 30; tries++) t.equal((await guess(`guess ${tries}`)).status, 401);
    const { status, headers, json } = await guess(ADMIN_KEY);
    t.equal(status, 429, 'even if it is right');
    t.match(headers.get('retry-after'), /^\d+$/);
    t.match(json.detail, /30 requests in 1m/);
    t.equal((await guess(key)).status, 200);
  },
);

t.test('a key has at most 100 sessions, and the oldest end first', async (t) => {
  const posthorn = await start(t);
  const { key } = await makeKey(posthorn, { scopes: ['read'] });
  const first = await signIn(posthorn, key);
  for (let n = 1; n < 100; n++) await signIn(posthorn, key);
  const status = async ({ cookie }: { cookie: string }) =>
    (await posthorn.request('GET', '/v1/subscriptions', undefined, { cookie })).status;
  t.equal(await status(first), 200);
  const last = await signIn(posthorn, key);
  t.equal(await status(first), 401);
  t.equal(await status(last), 200);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('select count(*)::int as n from posthorn.sessions');
  t.equal(rows[0].n, 100);
});

t.test(
  'an API without an admin key needs no session, and keeps to a key that signed in',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const open = await posthorn.request('GET', '/v1/session');
    t.strictSame(open.json, {
      signed_in: false,
      required: false,
      tenant: null,
      scopes: ['read', 'send', 'pull', 'manage', 'admin'],
      expires_at: null,
      portal: null,
    });
    const { json } = await posthorn.request('POST', '/v1/keys', { scopes: ['read'] });
    const { cookie } = await signIn(posthorn, json.key);
    const make = (cookie: string) =>
      posthorn.request('POST', '/v1/subscriptions', NOWHERE, { cookie, ...CSRF });
    t.equal((await make(cookie)).status, 403);
    // Left from another time, or from another service on this host.
    t.equal((await make(`posthorn_session=a_${'x'.repeat(43)}`)).status, 201);
    t.equal((await make('posthorn_session=%; other=1')).status, 201);
  },
);

t.test('where a request has a key, its session does not count', async (t) => {
  const posthorn = await start(t);
  const { key } = await makeKey(posthorn, { scopes: ['read'] });
  const { cookie } = await signIn(posthorn, ADMIN_KEY);
  const headers = { cookie, authorization: `Bearer ${key}`, origin: 'https://evil.example' };
  const keys = await posthorn.request('GET', '/v1/keys', undefined, headers);
  t.equal(keys.status, 403);
  t.equal((await posthorn.request('GET', '/v1/stats', undefined, headers)).status, 200);
});
