import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { TOLD_MS } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };

async function start(t: Test, env: Record<string, string>) {
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, ...env });
  const makeKey = async (tenant: string) => {
    const fields = { scopes: ['manage', 'send', 'read'], tenant };
    const { json } = await posthorn.request('POST', '/v1/keys', fields, admin);
    return { authorization: `Bearer ${json.key}` };
  };
  const ask = (headers: Record<string, string>, path = '/v1/stats') =>
    posthorn.request('GET', path, undefined, headers);
  return { posthorn, makeKey, ask };
}

t.test('a key above its rate limit gets 429 with Retry-After, other keys do not', async (t) => {
  const { posthorn, makeKey, ask } = await start(t, { POSTHORN_RATE_LIMIT: '5/1h' });
  const [one, other] = [await makeKey('default'), await makeKey('default')];
  for (let n = 0; n < 5; n++) t.equal((await ask(one)).status, 200);
  const refused = await ask(one);
  t.equal(refused.status, 429);
  t.equal(refused.headers.get('content-type'), 'application/problem+json');
  const seconds = Number(refused.headers.get('retry-after'));
  t.ok(seconds > 3500 && seconds <= 3600, `${seconds}`);
  t.match(refused.json, {
    type: 'urn:posthorn:problem:too-many-requests',
    detail: /This key may make 5 requests in 1h; try again in \d+s/,
  });
  const sent = { event_type: 'a.b', data: 1 };
  t.equal((await posthorn.request('POST', '/v1/webhooks', sent, one)).status, 429);
  t.equal((await ask(other)).status, 200);
  for (let n = 0; n < 10; n++) t.equal((await ask({}, '/healthz')).status, 200, 'open routes');
});

t.test('a key may make requests again after the period of its limit', async (t) => {
  const { makeKey, ask } = await start(t, { POSTHORN_RATE_LIMIT: '1/3s' });
  const key = await makeKey('default');
  t.equal((await ask(key)).status, 200);
  const refused = await ask(key);
  t.equal(refused.status, 429);
  t.match(refused.headers.get('retry-after'), /^[123]$/);
  const startedAt = Date.now();
  for (;;) {
    if ((await ask(key)).status === 200) break;
    if (Date.now() - startedAt > 20_000) throw new Error('it never may');
  }
  t.ok(Date.now() - startedAt < TOLD_MS);
});

t.test("a tenant's keys share its limit, and signed requests count too", async (t) => {
  const receiver = await startReceiver(t);
  const { posthorn, makeKey, ask } = await start(t, { POSTHORN_TENANT_RATE_LIMIT: '4/1h' });
  for (const id of ['acme', 'globex']) await posthorn.request('POST', '/v1/tenants', { id }, admin);
  const [one, other, globex] = [
    await makeKey('acme'),
    await makeKey('acme'),
    await makeKey('globex'),
  ];
  const made = await posthorn.request(
    'POST',
    '/v1/subscriptions',
    { url: receiver.url, secret: 'signs' },
    one,
  );
  const signature = `sha256=${createHmac('sha256', 'signs').update('{}').digest('hex')}`;
  const ingest = () =>
    posthorn.request('POST', `/ingest/${made.json.id}`, '{}', { 'x-hub-signature-256': signature });
  t.equal((await ingest()).status, 202);
  t.equal((await ask(one)).status, 200);
  t.equal((await ask(other)).status, 200);
  for (const reply of [await ask(one), await ask(other), await ingest()]) {
    t.equal(reply.status, 429, reply.text);
    t.match(reply.json.detail, /This tenant may make 4 requests/);
  }
  t.equal((await ask(globex)).status, 200);
});

t.test('a request with too many headers is refused', async (t) => {
  const { posthorn } = await start(t, {});
  const send = async (count: number) => {
    const request = httpRequest(new URL('/ping', posthorn.url));
    // Connection and host are two.
    for (let n = 0; n < count - 2; n++) request.setHeader(`x-${n}`, '1');
    request.end();
    return await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      request.on('error', reject);
      request.on('response', async (response) =>
        resolve({ status: response.statusCode, body: await text(response) }),
      );
    });
  };
  t.equal((await send(100)).status, 200);
  const { status, body } = await send(101);
  t.equal(status, 431);
  t.match(JSON.parse(body), { detail: 'The request has 101 headers; send at most 100.' });
});

t.test('pages have security headers, and load nothing that their policy forbids', async (t) => {
  const { posthorn } = await start(t, {});
  const page = await posthorn.request('GET', '/api/docs/');
  t.equal(page.status, 200);
  t.match(page.headers.get('strict-transport-security'), /^max-age=15552000$/);
  t.equal(page.headers.get('x-content-type-options'), 'nosniff');
  t.equal(page.headers.get('x-frame-options'), 'SAMEORIGIN');
  t.equal(page.headers.get('referrer-policy'), 'no-referrer');
  const policy = page.headers.get('content-security-policy') ?? '';
  t.match(policy, /default-src 'self'/);
  t.notMatch(policy, /unsafe-inline|unsafe-eval|https?:|\*/);

  const loaded = [...page.text.matchAll(/<(?:script|link)\b[^>]*\b(?:src|href)="([^"]+)"/g)];
  t.ok(loaded.length >= 4);
  for (const [, address = ''] of loaded) {
    const { origin, pathname } = new URL(address, `${posthorn.url}/api/docs/`);
    t.equal(origin, posthorn.url, address);
    const part = await posthorn.request('GET', pathname);
    t.equal(part.status, 200, pathname);
    t.equal(part.headers.get('x-content-type-options'), 'nosniff', 'so its type must be right');
    t.match(part.headers.get('content-type'), pathname.endsWith('.js') ? /javascript/ : /css|svg/);
  }
  const inline = [...page.text.matchAll(/<(script|style)\b(?![^>]*\bsrc=)[^>]*>([^<]+)<\//g)];
  for (const [, kind, content = ''] of inline) {
    const hash = createHash('sha256').update(content).digest('base64');
    t.ok(policy.includes(`'sha256-${hash}'`), `an inline ${kind} is among those that are allowed`);
  }
});
