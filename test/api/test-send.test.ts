import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { certify, trust } from '../helpers/certificates.ts';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

t.test(
  'a test webhook is sent at once, signed as a delivery is, and its answer shown',
  async (t) => {
    const receiver = await startReceiver(t, (response) => {
      response.statusCode = 201;
      response.setHeader('x-request', 'r-7');
      response.end('thank you');
    });
    // The API alone: no worker has a part in it.
    const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const id = await posthorn.subscribe(`${receiver.url}/hook`, secret);
    const { status, json } = await posthorn.request('POST', `/v1/subscriptions/${id}/test`, {
      event_type: 'order.created',
      data: { id: 7 },
    });
    t.equal(status, 200);
    t.match(json, {
      subscription_id: id,
      url: `${receiver.url}/hook`,
      status: 'success',
      error_code: null,
      error: null,
      response: {
        status_code: 201,
        headers: { 'x-request': 'r-7', 'content-length': '9' },
        body_excerpt: 'thank you',
      },
      // An address needs no look-up, and http no TLS.
      timing_ms: { dns: null, tls: null },
    });
    const { connect, first_byte, total } = json.timing_ms;
    t.ok(connect >= 0 && first_byte >= 0 && connect + first_byte <= total + 0.01, `${total}`);
    const [request] = await receiver.waitFor(1);
    const headers = request?.headers as Record<string, string>;
    const body = request?.body.toString() as string;
    t.match(JSON.parse(body), { type: 'order.created', data: { id: 7 } });
    t.equal(headers['webhook-id'], json.webhook_id);
    t.doesNotThrow(() => new Webhook(secret).verify(body, headers));
    const hub = createHmac('sha256', secret).update(body).digest('hex');
    t.equal(headers['x-hub-signature-256'], `sha256=${hub}`);
    t.strictSame(
      (await posthorn.request('GET', '/v1/webhooks')).json.data,
      [],
      'nothing is stored',
    );
    t.equal((await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`)).status, 404);
  },
);

t.test('without a body, a test webhook has a type of its own', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  t.equal((await posthorn.request('POST', `/v1/subscriptions/${id}/test`)).status, 200);
  const [request] = await receiver.waitFor(1);
  t.match(JSON.parse(request?.body.toString() as string), { type: 'posthorn.test' });
});

t.test('a test without an answer has the same errors as a delivery', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    if (path === '/redirect') response.setHeader('location', 'http://127.0.0.1/');
    response.statusCode = path === '/redirect' ? 302 : 500;
    if (path === '/drip') response.write('so far');
    else if (path !== '/silent') response.end('no');
  });
  const posthorn = await startTestService(t);
  // A time limit only where no answer comes: on a busy machine the others could take as long.
  const outcome = async (url: string, timeout: string | null = null) => {
    const id = await subscribeAs(posthorn, { url, timeout });
    const { status, json } = await posthorn.request('POST', `/v1/subscriptions/${id}/test`, {});
    t.equal(status, 200);
    return json;
  };
  t.match(await outcome(`${receiver.url}/bad`), {
    status: 'failed',
    error_code: 'http_status',
    response: { status_code: 500, body_excerpt: 'no' },
  });
  t.match(await outcome(`${receiver.url}/redirect`), {
    error_code: 'redirect',
    response: { status_code: 302 },
  });
  const silent = await outcome(`${receiver.url}/silent`, '1s');
  t.match(silent, {
    status: 'timeout',
    error_code: 'timeout_response',
    response: null,
    timing_ms: { first_byte: Number, body: null },
  });
  t.ok(silent.timing_ms.total >= 990 && silent.timing_ms.connect !== null);
  t.match(await outcome(`${receiver.url}/drip`, '1s'), {
    status: 'failed',
    error_code: 'http_status',
    response: { status_code: 500, body_excerpt: 'so far' },
  });
  t.match(await outcome('http://127.0.0.1:9/'), {
    status: 'failed',
    error_code: 'refused',
    response: null,
    timing_ms: { connect: Number, first_byte: null },
  });
  t.match(await outcome('http://nowhere.invalid/'), { error_code: 'dns', response: null });
  const unknown = await posthorn.request('POST', '/v1/subscriptions/777/test', {});
  t.equal(unknown.status, 404);
  const wrong = await posthorn.request('POST', '/v1/subscriptions/777/test', { type: 'a' });
  t.match(wrong.json, { status: 400, errors: [{ field: 'body.type' }] });
});

t.test('an address that deliveries may not reach is not reached by a test either', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ALLOW_NETWORKS: '' });
  const id = await posthorn.subscribe('http://localtest.example/');
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`update posthorn.subscriptions set url = 'http://127.0.0.1/'`);
  const { json } = await posthorn.request('POST', `/v1/subscriptions/${id}/test`, {});
  t.match(json, { status: 'blocked', error_code: 'blocked', response: null });
});

t.test('the timing shows the phases of a connection', async (t) => {
  const certificate = certify(t, ['DNS:localhost']);
  trust(t, certificate);
  const server = createServer(certificate, (_request, response) => {
    response.end('over TLS');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => void server.close());
  const posthorn = await startTestService(t);
  const { port } = server.address() as AddressInfo;
  const id = await posthorn.subscribe(`https://localhost:${port}/`);
  const { json } = await posthorn.request('POST', `/v1/subscriptions/${id}/test`, {});
  t.match(json, { status: 'success', response: { body_excerpt: 'over TLS' } });
  const { dns, connect, tls, first_byte, total } = json.timing_ms;
  for (const phase of [dns, connect, tls, first_byte]) t.type(phase, 'number');
  t.ok(tls > 0 && dns + connect + tls + first_byte <= total + 0.01, JSON.stringify(json.timing_ms));
});

t.test(
  'a tenant can have a limited number of tests in flight, and leaves some to others',
  async (t) => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const receiver = await startReceiver(t, (response) => {
      released.then(() => response.end());
    });
    const posthorn = await startTestService(t, { POSTHORN_DELIVERY_TIMEOUT: '20s' });
    const id = await posthorn.subscribe(receiver.url);
    const send = () => posthorn.request('POST', `/v1/subscriptions/${id}/test`, {});
    const under = Array.from({ length: 16 }, send);
    await receiver.waitFor(16);
    const refused = await send();
    t.equal(refused.status, 429);
    t.equal(refused.headers.get('retry-after'), '1');
    t.match(refused.json, { type: 'urn:posthorn:problem:too-many-requests' });
    await posthorn.request('POST', '/v1/tenants', { id: 'modest' });
    const { json } = await posthorn.request('POST', '/v1/subscriptions?tenant=modest', {
      url: receiver.url,
    });
    under.push(posthorn.request('POST', `/v1/subscriptions/${json.id}/test?tenant=modest`, {}));
    await receiver.waitFor(17);
    const readings = Array.from({ length: 8 }, () => posthorn.request('GET', '/v1/subscriptions'));
    for (const { status } of await Promise.all(readings)) t.equal(status, 200, 'none keeps a turn');
    release();
    for (const { status } of await Promise.all(under)) t.equal(status, 200);
    t.equal((await send()).status, 200);
  },
);
