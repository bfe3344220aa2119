// The portal of a tenant: from the link to the end of its session.
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { listOperations } from '../helpers/operations.ts';
import { sendWith } from '../helpers/raw.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const PAGE = { 'x-posthorn-portal': '1', 'x-posthorn-csrf': '1' };
const NOWHERE = { url: 'https://receiver.example/' };
const TOKEN = /^[\w:/.-]+\/portal\/enter\/([\da-f-]{36})#([ak]_[\w-]{43})$/;

/** A service with the tenants acme and globex. */
async function start(t: Test, env: Record<string, string> = {}): Promise<TestService> {
  const posthorn = await startTestService(t, {
    POSTHORN_ADMIN_KEY: ADMIN_KEY,
    POSTHORN_ROLE: 'api',
    ...env,
  });
  for (const id of ['acme', 'globex'])
    await posthorn.request('POST', '/v1/tenants', { id, name: `${id} Inc.` }, admin);
  return posthorn;
}

async function makeLink(
  posthorn: TestService,
  fields: object = {},
  headers: Record<string, string> = admin,
  tenant = 'acme',
): Promise<{ link: string; token: string; reply: Reply }> {
  const reply = await posthorn.request('POST', `/v1/tenants/${tenant}/portal`, fields, headers);
  if (reply.status !== 201) throw new Error(`${reply.status} ${reply.text}`);
  const [, link = '', token = ''] = TOKEN.exec(reply.json.url) ?? [];
  return { link, token, reply };
}

const open = (posthorn: TestService, link: object, headers: Record<string, string> = {}) =>
  posthorn.request('POST', '/v1/session/portal', link, headers);

/** Makes a link and opens it; `ask` sends requests as the page of the portal does. */
async function enter(
  posthorn: TestService,
  fields: object = {},
  headers: Record<string, string> = admin,
  tenant = 'acme',
) {
  const { link, token } = await makeLink(posthorn, fields, headers, tenant);
  const reply = await open(posthorn, { link, token });
  if (reply.status !== 200) throw new Error(`${reply.status} ${reply.text}`);
  const [cookie = ''] = (reply.headers.get('set-cookie') ?? '').split(';');
  const ask = (
    method: string,
    path: string,
    body?: unknown,
    more: Record<string, string> = {},
  ): Promise<Reply> => posthorn.request(method, path, body, { cookie, ...PAGE, ...more });
  return { cookie, reply, ask };
}

t.test('a link opens the portal of one tenant, which sees nothing of another', async (t) => {
  const posthorn = await start(t);
  const subscribe = async (tenant: string) =>
    (await posthorn.request('POST', `/v1/subscriptions?tenant=${tenant}`, NOWHERE, admin)).json.id;
  const [own, others] = [await subscribe('acme'), await subscribe('globex')];
  const { reply, ask } = await enter(posthorn);
  t.match(reply.json, {
    signed_in: true,
    required: true,
    tenant: 'acme',
    scopes: ['read'],
    portal: {
      name: 'acme Inc.',
      access: 'read',
      screens: ['overview', 'webhooks', 'subscriptions', 'problems', 'event-types', 'tasks'],
      theme: { logo: null, accent: null, header: null, mode: 'auto' },
    },
  });
  t.strictSame((await ask('GET', '/v1/session')).json, reply.json);

  const list = await ask('GET', '/v1/subscriptions');
  t.strictSame(
    list.json.data.map(({ id }: { id: number }) => id),
    [own],
  );
  t.equal((await ask('GET', `/v1/subscriptions/${others}`)).status, 404);
  t.equal((await ask('GET', '/v1/subscriptions?tenant=globex')).status, 404);
  t.equal((await ask('GET', '/v1/subscriptions?tenant=default')).status, 404);
});

t.test('a portal for reading changes nothing, and one for managing does', async (t) => {
  const posthorn = await start(t);
  const reading = await enter(posthorn, { access: 'read' });
  const refused = await reading.ask('POST', '/v1/subscriptions', NOWHERE);
  t.equal(refused.status, 403);
  t.match(refused.json.detail, /for reading only/);

  const managing = await enter(posthorn, { access: 'manage' });
  t.strictSame(managing.reply.json.scopes, ['read', 'pull', 'manage']);
  const made = await managing.ask('POST', '/v1/subscriptions', NOWHERE);
  t.equal(made.status, 201);
  t.equal((await managing.ask('DELETE', `/v1/subscriptions/${made.json.id}`)).status, 200);
});

t.test('a portal reaches only the routes of its screens', async (t) => {
  const posthorn = await start(t);
  const whole = await enter(posthorn, { access: 'manage' });
  const tasks = await enter(posthorn, { access: 'manage', screens: ['tasks'] });
  t.strictSame(tasks.reply.json.portal.screens, ['tasks']);
  const operations = await listOperations(posthorn);
  /** Operations that no portal may use, and never will. */
  const NEVER =
    /^\w+ (\/v1\/(keys|tenants|settings|watches|backfills|event-type-settings)|\/(subscriptions|logs|ingest)\/)|^(post|patch|delete) \/v1\/event-types|^post \/v1\/webhooks(\/batch)?$/i;
  let [refused, let_in] = [0, 0];
  for (const { method, path, scope, example } of operations.filter(({ scope }) => scope !== null)) {
    const at = path.replaceAll(/\{\w+\}/g, '77001');
    const name = `${method} ${path}`;
    const never = NEVER.test(name);
    const { status, json } = await whole.ask(method, at, example);
    const isRefused = status === 403 && json.detail === 'This is not a part of this portal.';
    if (never) t.ok(isRefused, `${name} (${scope}): ${status}`);
    if (isRefused) refused += 1;
    else {
      t.notOk([401, 403].includes(status), `${name}: ${status}`);
      let_in += 1;
      const ofTasks = path.startsWith('/v1/tasks');
      const narrow = await tasks.ask(method, at, example);
      t.equal(narrow.status === 403, !ofTasks, `${name} with the screen tasks: ${narrow.status}`);
    }
  }
  t.ok(refused > 15, `${refused} operations are refused`);
  t.ok(let_in > 20, `${let_in} operations are let in`);
});

t.test('a link opens once, and reading its page does not use it up', async (t) => {
  const posthorn = await start(t);
  const { link, token, reply } = await makeLink(posthorn);
  t.equal(reply.headers.get('cache-control'), 'no-store');
  t.notOk(new URL(reply.json.url).pathname.includes(token), 'the token is never sent with a GET');
  for (let visits = 0; visits < 3; visits++) {
    const page = await fetch(reply.json.url, { headers: { accept: 'text/html' } });
    t.equal(page.headers.get('set-cookie'), null);
    t.equal(page.headers.get('referrer-policy'), 'no-referrer');
    t.equal(page.headers.get('cache-control'), 'no-store');
  }
  // The token of the link is not that of the session.
  const early = { cookie: `posthorn_portal=${token}`, ...PAGE };
  t.equal((await posthorn.request('GET', '/v1/stats', undefined, early)).status, 401);

  t.equal((await open(posthorn, { link, token: `${token.slice(0, -1)}!` })).status, 401);
  const opened = await Promise.all([1, 2, 3].map(() => open(posthorn, { link, token })));
  t.strictSame(opened.map(({ status }) => status).sort(), [200, 401, 401]);
  const again = await open(posthorn, { link, token });
  t.equal(again.status, 401);
  t.match(again.json.detail, /opened before, or is too old/);
  t.equal((await posthorn.request('GET', '/v1/stats', undefined, early)).status, 401);
});

t.test('a link that is too old opens nothing, and a portal ends at its time', async (t) => {
  const posthorn = await start(t);
  const client = await connect(t, posthorn.databaseUrl);
  const old = await makeLink(posthorn, { expires_in: '7d' });
  const openFor = Date.parse(old.reply.json.open_until) - Date.now();
  t.ok(openFor > 9 * 60_000 && openFor <= 10 * 60_000, 'a link opens within ten minutes');
  await client.query(`update posthorn.sessions set open_until = now() - interval '1 second'`);
  t.equal((await open(posthorn, old)).status, 400, 'unknown fields are refused');
  t.equal((await open(posthorn, { link: old.link, token: old.token })).status, 401);

  const { ask, reply } = await enter(posthorn, { expires_in: '2h' });
  const left = Date.parse(reply.json.expires_at) - Date.now();
  t.ok(left > 119 * 60_000 && left <= 120 * 60_000, `${left} ms`);
  t.equal((await ask('GET', '/v1/stats')).status, 200);
  await client.query(`update posthorn.sessions set expires_at = now() - interval '1 second'`);
  const ended = await ask('GET', '/v1/stats');
  t.equal(ended.status, 401);
  t.match(ended.json.detail, /Open it again from where you came/);
  t.match((await ask('GET', '/v1/session')).json, {
    signed_in: false,
    required: true,
    tenant: null,
    scopes: [],
    portal: null,
  });
});

t.test('a portal ends with the key that made its link, and with its tenant', async (t) => {
  const posthorn = await start(t);
  const { json: key } = await posthorn.request(
    'POST',
    '/v1/keys',
    { scopes: ['manage'], tenant: 'acme' },
    admin,
  );
  const byKey = await enter(posthorn, {}, { authorization: `Bearer ${key.key}` });
  const byAdmin = await enter(posthorn);
  const status = async ({ ask }: typeof byKey) => (await ask('GET', '/v1/stats')).status;
  t.strictSame([await status(byKey), await status(byAdmin)], [200, 200]);

  await posthorn.request('DELETE', `/v1/keys/${key.id}`, undefined, admin);
  await until('it is refused', async () => (await status(byKey)) === 401, TOLD_MS);
  t.equal(await status(byAdmin), 200);
  const changed = await startTestService(t, {
    POSTHORN_ADMIN_KEY: 'another admin key of some length',
    POSTHORN_ROLE: 'api',
    DATABASE_URL: posthorn.databaseUrl,
  });
  const { cookie } = byAdmin;
  const elsewhere = await changed.request('GET', '/v1/stats', undefined, { cookie, ...PAGE });
  t.equal(elsewhere.status, 401, 'the admin key that made it is another');

  await posthorn.request('DELETE', '/v1/tenants/acme', undefined, admin);
  t.equal(await status(byAdmin), 401);
});

t.test('all portals of a tenant can be ended', async (t) => {
  const posthorn = await start(t);
  const [first, second] = [await enter(posthorn), await makeLink(posthorn)];
  const other = await enter(posthorn, {}, admin, 'globex');
  const { json } = await posthorn.request('DELETE', '/v1/tenants/acme/portal', undefined, admin);
  t.strictSame(json, { ended: 2 });
  t.equal((await first.ask('GET', '/v1/stats')).status, 401);
  t.equal((await open(posthorn, { link: second.link, token: second.token })).status, 401);
  t.equal((await other.ask('GET', '/v1/stats')).status, 200);

  const out = await other.ask('DELETE', '/v1/session');
  t.match(out.json, { signed_in: false, required: true });
  t.equal((await other.ask('GET', '/v1/stats')).status, 401);
});

t.test('only a key that manages the tenant makes links to its portal', async (t) => {
  const posthorn = await start(t);
  const keyOf = async (scopes: string[]) => {
    const { json } = await posthorn.request('POST', '/v1/keys', { scopes, tenant: 'acme' }, admin);
    return { authorization: `Bearer ${json.key}` };
  };
  const make = async (tenant: string, headers: Record<string, string>) =>
    (await posthorn.request('POST', `/v1/tenants/${tenant}/portal`, {}, headers)).status;
  const manage = await keyOf(['manage']);
  t.equal(await make('acme', manage), 201);
  t.equal(await make('globex', manage), 404);
  t.equal(await make('nobody', manage), 404);
  t.equal(await make('nobody', admin), 404);
  t.equal(await make('acme', await keyOf(['read', 'send'])), 403);
  const end = await posthorn.request('DELETE', '/v1/tenants/globex/portal', undefined, manage);
  t.equal(end.status, 404);
  const { ask } = await enter(posthorn, { access: 'manage' });
  t.equal((await ask('POST', '/v1/tenants/acme/portal', {})).status, 403, 'a portal makes none');
});

t.test('wrong fields of a link are refused, with the field', async (t) => {
  const posthorn = await start(t);
  const cases: [fields: object, field: string][] = [
    [{ expires_in: '8d' }, 'body.expires_in'],
    [{ expires_in: 'soon' }, 'body.expires_in'],
    [{ access: 'admin' }, 'body.access'],
    [{ screens: [] }, 'body.screens'],
    [{ screens: ['keys'] }, 'body.screens.0'],
    [{ theme: { accent: 'red' } }, 'body.theme.accent'],
    [{ theme: { logo: 'https://cdn.example/logo.png' } }, 'body.theme.logo'],
    [{ tenant: 'globex' }, 'body.tenant'],
  ];
  for (const [fields, field] of cases) {
    const { status, json } = await posthorn.request(
      'POST',
      '/v1/tenants/acme/portal',
      fields,
      admin,
    );
    t.equal(status, 400, field);
    t.match(json.errors, [{ field }]);
  }
});

t.test('the link begins with the address of the request, or POSTHORN_PUBLIC_URL', async (t) => {
  const posthorn = await start(t);
  const { reply } = await makeLink(posthorn);
  t.ok(reply.json.url.startsWith(`${posthorn.url}/portal/enter/`), reply.json.url);
  const proxied = await makeLink(posthorn, {}, { ...admin, 'x-forwarded-proto': 'https' });
  t.match(proxied.reply.json.url, /^https:\/\//);
  const named = await start(t, { POSTHORN_PUBLIC_URL: 'https://hooks.example.com/' });
  t.match(
    (await makeLink(named)).reply.json.url,
    /^https:\/\/hooks\.example\.com\/portal\/enter\//,
  );
});

t.test('only listed origins may embed the portal', async (t) => {
  const posthorn = await start(t);
  const origins = ['https://app.acme.example', 'http://localhost:3000'];
  const set = await posthorn.request('PATCH', '/v1/tenants/acme', { portal: { origins } }, admin);
  t.strictSame(set.json.portal, { origins });
  const framesOf = async (path: string, cookie?: string) => {
    const headers = { accept: 'text/html', ...(cookie === undefined ? {} : { cookie }) };
    const page = await fetch(posthorn.url + path, { headers });
    const [, frames] =
      /frame-ancestors ([^;]*)/.exec(page.headers.get('content-security-policy') ?? '') ?? [];
    return [frames, page.headers.get('x-frame-options')];
  };
  const acme = await makeLink(posthorn);
  const globex = await makeLink(posthorn, {}, admin, 'globex');
  const nobody = ["'none'", 'DENY'];
  t.strictSame(await framesOf(`/portal/enter/${acme.link}`), [origins.join(' '), null]);
  t.strictSame(await framesOf(`/portal/enter/${globex.link}`), nobody);
  for (const path of ['/portal/enter/x', '/portal/', '/portal/webhooks', '/dashboard/', '/'])
    t.strictSame(await framesOf(path), nobody, path);

  const { cookie } = await enter(posthorn);
  t.strictSame(await framesOf('/portal/webhooks', cookie), [origins.join(' '), null]);
  t.strictSame(await framesOf('/dashboard/webhooks', cookie), nobody);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`update posthorn.sessions set expires_at = now() - interval '1 second'`);
  t.strictSame(
    await framesOf('/portal/webhooks', cookie),
    [origins.join(' '), null],
    'an ended portal can say so where it is embedded',
  );
});

t.test(
  'what a tenant stores about its portal cannot break out of a header or an image',
  async (t) => {
    const posthorn = await start(t);
    const svg = `data:image/svg+xml;base64,${Buffer.from('<svg onload="alert(1)"/>').toString('base64')}`;
    const good = { origins: [], logo: svg, accent: '#0A7d5a', header: null, mode: 'dark' };
    const stored = await posthorn.request('PATCH', '/v1/tenants/acme', { portal: good }, admin);
    t.equal(stored.status, 200, stored.text);
    t.strictSame(stored.json.portal, good);
    const { reply } = await enter(posthorn, { theme: { mode: 'light', header: '#000000' } });
    t.strictSame(reply.json.portal.theme, {
      logo: svg,
      accent: '#0A7d5a',
      header: '#000000',
      mode: 'light',
    });

    const bad: [portal: object, field: RegExp][] = [
      ...[
        'https://a.example; script-src *',
        'https://a.example https://b.example',
        'https://a;b.example',
        "https://a.example'",
        'https://*.example',
        'https://a.example/path',
        'https://user@a.example',
        'http://a.example',
        'http://localhost.evil.example',
        'null',
        '*',
        "'self'",
        'javascript:alert(1)',
        'https://a.example\n',
      ].map((origin): [object, RegExp] => [{ origins: [origin] }, /body\.portal\.origins\.0/]),
      ...['red', '#fff', '#12345g', '#123456;', 'url(x)', '#123456\n'].map(
        (accent): [object, RegExp] => [{ accent }, /body\.portal\.accent/],
      ),
      ...[
        'https://cdn.example/logo.png',
        'javascript:alert(1)',
        'data:text/html;base64,PHNjcmlwdD4=',
        'data:image/svg+xml,<svg/>',
        'data:image/png;base64,iVBOR"onerror=',
        `data:image/png;base64,${'A'.repeat(20_000)}`,
      ].map((logo): [object, RegExp] => [{ logo }, /body\.portal\.logo/]),
      [{ mode: 'blue' }, /body\.portal\.mode/],
      [{ colour: '#123456' }, /body\.portal\.colour/],
    ];
    for (const [portal, field] of bad) {
      const { status, json } = await posthorn.request(
        'PATCH',
        '/v1/tenants/acme',
        { portal },
        admin,
      );
      t.equal(status, 400, JSON.stringify(portal));
      t.match(json.errors?.[0]?.field, field, JSON.stringify(json.errors));
    }
    const gone = await posthorn.request('PATCH', '/v1/tenants/acme', { portal: null }, admin);
    t.equal(gone.json.portal, null);
  },
);

t.test('the cookie works in an iframe over https, and needs the header of the page', async (t) => {
  const posthorn = await start(t);
  const cookieOf = async (headers: Record<string, string>) => {
    const { link, token } = await makeLink(posthorn);
    return (await open(posthorn, { link, token }, headers)).headers.get('set-cookie');
  };
  t.match(
    await cookieOf({ 'x-forwarded-proto': 'https' }),
    /^__Host-posthorn_portal=a_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; Secure; Partitioned; SameSite=None$/,
  );
  t.match(
    await cookieOf({}),
    /^posthorn_portal=a_[\w-]{43}; Path=\/; Expires=[^;]+; HttpOnly; SameSite=Lax$/,
  );

  const { cookie } = await enter(posthorn, { access: 'manage' });
  const send = async (method: string, headers: Record<string, string>) =>
    (
      await sendWith(
        `${posthorn.url}/v1/subscriptions`,
        method,
        { cookie, ...(method === 'GET' ? {} : { 'content-type': 'application/json' }), ...headers },
        method === 'GET' ? undefined : JSON.stringify(NOWHERE),
      )
    ).status;
  t.equal(await send('GET', {}), 401, 'a request of another page, even one that only reads');
  t.equal(await send('POST', { 'x-posthorn-csrf': '1' }), 401);
  t.equal(await send('POST', { 'x-posthorn-portal': '1' }), 403);
  for (const site of ['cross-site', 'same-site'])
    t.equal(await send('POST', { ...PAGE, 'sec-fetch-site': site }), 403, site);
  t.equal(await send('POST', { ...PAGE, 'sec-fetch-site': 'same-origin' }), 201);
});

t.test('a page of another site cannot open a portal in the browser of its visitor', async (t) => {
  const posthorn = await start(t);
  const { link, token } = await makeLink(posthorn);
  for (const headers of [
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'https://evil.example' },
  ] as Record<string, string>[])
    t.equal((await open(posthorn, { link, token }, headers)).status, 403);
  t.equal((await open(posthorn, { link, token })).status, 200);
});

t.test('the sessions of the dashboard and of portals do not mix', async (t) => {
  const posthorn = await start(t);
  const { cookie } = await enter(posthorn);
  const token = cookie.split('=')[1];
  const signIn = await posthorn.request('POST', '/v1/session', { key: ADMIN_KEY });
  const dashboard = signIn.headers.get('set-cookie')?.split(';')[0] ?? '';
  const get = (path: string, headers: Record<string, string>) =>
    posthorn.request('GET', path, undefined, headers);
  const both = `${dashboard}; ${cookie}`;
  t.equal((await get('/v1/session', { cookie: both, ...PAGE })).json.tenant, 'acme');
  t.equal((await get('/v1/session', { cookie: both })).json.tenant, null);
  t.equal((await get('/v1/keys', { cookie: both })).status, 200);
  t.equal((await get('/v1/keys', { cookie: both, ...PAGE })).status, 403);
  // A token in the other's cookie.
  t.equal((await get('/v1/stats', { cookie: `posthorn_session=${token}` })).status, 401);
  const swapped = dashboard.replace('posthorn_session', 'posthorn_portal');
  t.equal((await get('/v1/stats', { cookie: swapped, ...PAGE })).status, 401);

  // The customer support has opened the portal of another tenant in another tab since.
  const other = await enter(posthorn, {}, admin, 'globex');
  const ofAcme = { 'x-posthorn-portal': 'acme' };
  t.equal((await other.ask('GET', '/v1/stats', undefined, ofAcme)).status, 401);
  const ofGlobex = { 'x-posthorn-portal': 'globex' };
  t.equal((await other.ask('GET', '/v1/stats', undefined, ofGlobex)).status, 200);
});

t.test('a portal needs its session even if the API requires no key', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  await posthorn.request('POST', '/v1/tenants', {
    id: 'acme',
    portal: { origins: ['https://app.acme.example'] },
  });
  const { ask, cookie } = await enter(posthorn, {}, {});
  t.equal((await ask('GET', '/v1/stats')).status, 200);
  t.equal((await ask('GET', '/v1/keys')).status, 403);
  const without = await posthorn.request('GET', '/v1/session', undefined, PAGE);
  t.match(without.json, { signed_in: false, required: true, scopes: [] });
  t.equal((await posthorn.request('GET', '/v1/stats', undefined, PAGE)).status, 401);

  const visit = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', cookie };
  const frame = { ...visit, 'sec-fetch-dest': 'iframe', accept: 'text/html' };
  const { status } = await sendWith(`${posthorn.url}/portal/`, 'GET', frame);
  t.not(status, 403, 'its Content-Security-Policy decides who may embed it');
  t.equal((await sendWith(`${posthorn.url}/dashboard/`, 'GET', frame)).status, 403);
});

t.test('a tenant has at most 1000 links and sessions, and the oldest end first', async (t) => {
  const posthorn = await start(t);
  const { ask } = await enter(posthorn);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    insert into posthorn.sessions (hash, portal_tenant, portal, link_id, created_at, expires_at)
    select sha256(n::text::bytea), 'acme', '{}', gen_random_uuid(), now() + n * interval '1 us', now() + interval '1 h'
    from generate_series(1, 999) as n`);
  t.equal((await ask('GET', '/v1/stats')).status, 200);
  await makeLink(posthorn);
  t.equal((await ask('GET', '/v1/stats')).status, 401);
  const { rows } = await client.query('select count(*)::int as n from posthorn.sessions');
  t.equal(rows[0].n, 1000);
});
