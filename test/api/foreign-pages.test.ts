import t from 'tap';
import { isLoopbackName } from '../../src/api/plugins/foreign-pages.ts';
import { listOperations } from '../helpers/operations.ts';
import { sendWith } from '../helpers/raw.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

/** Every path and method of the document, the pages of the documentation, and one that is not there. */
async function everyRoute(posthorn: TestService) {
  const operations = await listOperations(posthorn);
  return [
    ...operations.map(({ method, path, example }) => ({
      method,
      path: path.replaceAll(/\{\w+\}/g, '77001'),
      body: example === undefined ? undefined : JSON.stringify(example),
    })),
    ...['/api/docs', '/api/docs/', '/api/docs/json', '/api/docs/static/index.html', '/nothing'].map(
      (path) => ({ method: 'GET', path, body: undefined }),
    ),
    { method: 'OPTIONS', path: '/v1/subscriptions', body: undefined },
  ];
}

function ask(
  { url }: TestService,
  { method, path, body }: { method: string; path: string; body?: string | undefined },
  headers: Record<string, string>,
) {
  return sendWith(
    url + path,
    method,
    { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    body,
  );
}

t.test('without a key, a page of another site cannot use any route', async (t) => {
  const posthorn = await startTestService(t);
  const { host } = new URL(posthorn.url);
  const routes = await everyRoute(posthorn);
  t.ok(routes.length >= 40);
  const foreign: Record<string, string>[] = [
    { host: 'evil.example' },
    { host: 'evil.example', origin: 'http://evil.example' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ];
  for (const route of routes) {
    for (const headers of foreign) {
      const { status, text } = await ask(posthorn, route, headers);
      const name = `${route.method} ${route.path} ${JSON.stringify(headers)}`;
      t.equal(status, 403, `${name}: ${text}`);
      t.equal(JSON.parse(text).type, 'urn:posthorn:problem:foreign-page', name);
    }
    const own = { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' };
    const { status } = await ask(posthorn, route, own);
    t.not(status, 403, `${route.method} ${route.path} from a page of its own`);
  }
});

t.test('without a key, only Host headers of this machine are accepted', async (t) => {
  const port = 5000;
  for (const name of [
    ...['localhost', 'LocalHost', 'posthorn.localhost', 'a.b-c.localhost'],
    ...['127.0.0.1', '127.200.3.4', '[::1]', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]'],
  ]) {
    t.ok(isLoopbackName(name), name);
    t.ok(isLoopbackName(`${name}:${port}`), `${name}:${port}`);
  }
  for (const name of [
    ...['', ':5000', 'evil.example', 'localhost.evil.example', 'evillocalhost', 'x@localhost'],
    ...['127.0.0.1.evil.example', '127.0.0.1.nip.io', '128.0.0.1', '10.0.0.1', '0.0.0.0', '[::]'],
    ...['[::2]', '::1', '[::1', 'localhost:5000:1', 'localhost:x', 'localhost/', '.localhost'],
    ...['localhost, evil.example', 'localhost evil', '[localhost]', '2130706433', 'posthorn'],
  ]) {
    t.notOk(isLoopbackName(name), name);
  }
});

t.test('without a key, only names of POSTHORN_ALLOW_HOSTS are accepted besides', async (t) => {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const posthorn = await startTestService(t, {
      HOST: host,
      POSTHORN_AUTH: 'off',
      POSTHORN_ALLOW_HOSTS: 'app, Hooks.internal',
    });
    const url = posthorn.url.replace('0.0.0.0', '127.0.0.1');
    const ask = async (name: string) =>
      (await sendWith(`${url}/v1/subscriptions`, 'GET', { host: name })).status;
    for (const name of ['app', 'app:5000', 'APP', 'hooks.internal:80', 'localhost', '127.0.0.1:1'])
      t.equal(await ask(name), 200, `${name} on ${host}`);
    for (const name of ['evil.example', 'app.evil.example', 'xapp', 'app:5000:1', 'internal'])
      t.equal(await ask(name), 403, `${name} on ${host}`);
  }
});

t.test('other programs, and visits to the documentation, are not refused', async (t) => {
  const posthorn = await startTestService(t);
  const { port } = new URL(posthorn.url);
  for (const host of [`localhost:${port}`, '127.0.0.1', 'posthorn.localhost:80', `[::1]:${port}`])
    for (const path of ['/healthz', '/readyz', '/metrics', '/v1/subscriptions'])
      t.equal(
        (await sendWith(posthorn.url + path, 'GET', { host })).status,
        200,
        `${host} ${path}`,
      );
  // Typed into the address bar, and from a link.
  const visit = { 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  const visits: [string, Record<string, string>, number][] = [
    ['/api/docs/', { 'sec-fetch-site': 'none', ...visit }, 200],
    ['/v1/subscriptions', { 'sec-fetch-site': 'none', ...visit }, 200],
    ['/api/docs/', { 'sec-fetch-site': 'cross-site', ...visit }, 200],
    ['/v1/subscriptions', { 'sec-fetch-site': 'cross-site', ...visit }, 403],
    [
      '/api/docs/',
      { 'sec-fetch-site': 'cross-site', ...visit, origin: 'http://evil.example' },
      403,
    ],
    ['/api/docs/', { 'sec-fetch-site': 'cross-site', ...visit, 'sec-fetch-dest': 'iframe' }, 403],
    ['/api/docs/', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, 403],
  ];
  for (const [path, headers, status] of visits)
    t.equal(
      (await sendWith(posthorn.url + path, 'GET', headers)).status,
      status,
      `${path} ${JSON.stringify(headers)}`,
    );
});

t.test('a page cannot change anything by requests without preflight: forms, text', async (t) => {
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe('https://example.com/');
  const { json: before } = await posthorn.request('GET', `/v1/subscriptions/${id}`);
  for (const action of ['rotate-secret', 'pause', 'enable', 'test'])
    for (const type of [undefined, 'text/plain', 'application/x-www-form-urlencoded']) {
      const { status } = await sendWith(
        `${posthorn.url}/v1/subscriptions/${id}/${action}`,
        'POST',
        {
          origin: 'https://evil.example',
          ...(type === undefined ? {} : { 'content-type': type }),
        },
        type === undefined ? undefined : '{}',
      );
      t.equal(status, 403, `${action} ${type}`);
    }
  t.strictSame((await posthorn.request('GET', `/v1/subscriptions/${id}`)).json, before);
});

t.test('with a key only the key counts; with POSTHORN_AUTH=off any Host is accepted', async (t) => {
  const key = 'an admin key of some length';
  const closed = await startTestService(t, { POSTHORN_ADMIN_KEY: key });
  const authorization = `Bearer ${key}`;
  const from = { host: 'hooks.example.com', origin: 'https://console.example.com' };
  const list = `${closed.url}/v1/subscriptions`;
  t.equal((await sendWith(list, 'GET', { ...from, authorization })).status, 200);
  t.equal((await sendWith(list, 'GET', from)).status, 401);

  const open = await startTestService(t, { HOST: '0.0.0.0', POSTHORN_AUTH: 'off' });
  const at = `http://127.0.0.1:${new URL(open.url).port}/v1/subscriptions`;
  const host = 'hooks.internal';
  t.equal((await sendWith(at, 'GET', { host })).status, 200);
  t.equal((await sendWith(at, 'GET', { host, origin: 'https://hooks.internal' })).status, 200);
  t.equal((await sendWith(at, 'GET', { host, origin: 'https://evil.example' })).status, 403);
});
