import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { readRun } from '../helpers/run.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';
import { databaseOf } from '../helpers/urls.ts';

const SECRET = 'a secret of the first system';
const sign = (body: string | Buffer, secret = SECRET) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

t.test('any valid JSON is accepted and delivered byte for byte', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const bodies = [
    '{ "spaced" :  [1,2 , 3] }\n',
    '{"big":12345678901234567890.1234567890,"exp":1E400}',
    '{"escaped":"\\u00e9\\ud83d\\ude00\\/","raw":"é😀","nul":"\\u0000"}',
    '{"b":1,"a":2,"a":3}',
    '"just a string"',
    '0',
    'null',
    '[]',
    ` ${JSON.stringify({ long: 'x'.repeat(200_000) })} `,
  ];
  const webhooks = new Map<string, string>();
  for (const body of bodies) webhooks.set(await posthorn.ingest(id, body), body);
  for (const { headers, body } of await receiver.waitFor(bodies.length)) {
    t.equal(body.toString(), webhooks.get(headers['webhook-id'] as string));
    t.equal(headers['content-type'], 'application/json');
  }
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('select id, body from posthorn.webhook_payloads');
  for (const { id: webhookId, body } of rows) t.equal(body.toString(), webhooks.get(webhookId));
});

t.test(
  'a body that comes in parts is delivered byte for byte, whether or not its length is told',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe(receiver.url);
    const webhooks = new Map<string, string>();
    for (const length of [0, 3, 70_000, 300_000, 900_000]) {
      const body = JSON.stringify({ length, text: 'é😀x'.repeat(length / 7) });
      for (const told of [true, false]) {
        const bytes = Buffer.from(body);
        const { status, webhookId } = await sendInParts(posthorn.url, id, bytes, told);
        t.equal(status, 202);
        webhooks.set(webhookId, body);
      }
    }
    for (const { headers, body } of await receiver.waitFor(webhooks.size))
      t.ok(body.toString() === webhooks.get(headers['webhook-id'] as string));
  },
);

t.test(
  'a body that grows past the limit is refused, whether or not its length is told',
  async (t) => {
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe('http://127.0.0.1:9/');
    const tooLong = Buffer.from(JSON.stringify('x'.repeat(1024 * 1024)));
    for (const told of [true, false])
      t.equal((await sendInParts(posthorn.url, id, tooLong, told)).status, 413);
  },
);

/** Sends a body with pauses of a turn of the event loop, so that it does not come as one. */
async function sendInParts(url: string, id: number, body: Buffer, told: boolean) {
  const request = httpRequest(`${url}/ingest/${id}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(told ? { 'content-length': body.length } : { 'transfer-encoding': 'chunked' }),
    },
  });
  request.on('error', () => {});
  const answered = once(request, 'response');
  for (let at = 0; at < body.length && !request.destroyed; at += 50_001) {
    request.write(body.subarray(at, at + 50_001));
    await setImmediate();
  }
  request.end();
  const [response] = (await answered) as [IncomingMessage];
  const answer = await json(response).catch(() => ({}));
  return {
    status: response.statusCode,
    webhookId: (answer as { webhook_id: string }).webhook_id,
  };
}

t.test('a 202 names the webhook by a UUIDv7 and means that it is committed', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const before = Date.now();
  const { status, json } = await posthorn.request('POST', `/ingest/${id}`, { n: 1 });
  t.equal(status, 202);
  t.strictSame(Object.keys(json), ['status', 'webhook_id', 'subscription_id']);
  t.equal(json.status, 'accepted');
  t.equal(json.subscription_id, id);
  t.match(json.webhook_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const madeAt = Number.parseInt(json.webhook_id.replaceAll('-', '').slice(0, 12), 16);
  t.ok(madeAt >= before - 1000 && madeAt <= Date.now() + 1000, 'the id tells when it was accepted');
  const client = await connect(t, posthorn.databaseUrl);
  const { rowCount } = await client.query('select from posthorn.deliveries where webhook_id = $1', [
    json.webhook_id,
  ]);
  t.equal(rowCount, 1);
});

t.test('concurrent webhooks are all accepted, each with its own id and body', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const ids = await Promise.all([1, 2, 3].map((n) => posthorn.subscribe(`${receiver.url}/${n}`)));
  const sent = new Map<string, string>();
  await Promise.all(
    Array.from({ length: 600 }, async (_, n) => {
      const subscription = ids[n % 3] as number;
      sent.set(await posthorn.ingest(subscription, { n }), `/${(n % 3) + 1} {"n":${n}}`);
    }),
  );
  t.equal(sent.size, 600);
  for (const { headers, path, body } of await receiver.waitFor(600)) {
    t.equal(`${path} ${body}`, sent.get(headers['webhook-id'] as string));
  }
});

t.test('a subscription with a secret accepts only webhooks signed with it', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url, SECRET);
  const body = '{"signed": true}';
  const right = sign(body);
  const cases: [what: string, header: string | undefined, status: number][] = [
    ['right', right, 202],
    ['right, in capitals', `sha256=${right.slice(7).toUpperCase()}`, 202],
    ['missing', undefined, 401],
    ['empty', '', 401],
    ['of another secret', sign(body, 'another'), 401],
    ['of another body', sign(`${body} `), 401],
    ['without its prefix', right.slice(7), 401],
    ['with another prefix', right.replace('sha256', 'sha1'), 401],
    ['cut short', right.slice(0, -1), 401],
    ['too long', `${right}0`, 401],
    ['not hex', `${right.slice(0, -1)}g`, 401],
  ];
  for (const [what, header, expected] of cases) {
    const { status, json, headers } = await posthorn.request(
      'POST',
      `/ingest/${id}`,
      body,
      header === undefined ? {} : { 'x-hub-signature-256': header },
    );
    t.equal(status, expected, what);
    if (expected === 401) {
      t.equal(headers.get('content-type'), 'application/problem+json');
      t.match(json.detail, /X-Hub-Signature-256/);
      t.notMatch(JSON.stringify(json), right.slice(7), 'the right signature is not told');
    }
  }
  await receiver.waitFor(2);
});

t.test('a webhook that cannot be accepted is refused with the reason', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '1KiB' });
  const id = await posthorn.subscribe(receiver.url);
  const json = 'application/json';
  const cases: [
    what: string,
    path: string,
    body: string | Buffer,
    type: string,
    status: number,
    says: RegExp,
  ][] = [
    ['an unknown subscription', '/ingest/999', '{}', json, 404, /no subscription 999/],
    ['an id that is no number', '/ingest/abc', '{}', json, 400, /path\.subscription_id/],
    ['an id that is too large', '/ingest/99999999999', '{}', json, 400, /path\.subscription_id/],
    ['invalid JSON', `/ingest/${id}`, '{"a":', json, 400, /not valid JSON/],
    ['an empty body', `/ingest/${id}`, '', json, 400, /empty/],
    [
      'bytes that are not UTF-8',
      `/ingest/${id}`,
      Buffer.from([0x22, 0xff, 0x22]),
      json,
      400,
      /UTF-8/,
    ],
    ['a body one byte too large', `/ingest/${id}`, `"${'x'.repeat(1023)}"`, json, 413, /1KiB/],
    [
      'a form',
      `/ingest/${id}`,
      'a=1',
      'application/x-www-form-urlencoded',
      415,
      /application\/json/,
    ],
    ['text', `/ingest/${id}`, '{}', 'text/plain', 415, /text\/plain/],
    ['a type that only begins like JSON', `/ingest/${id}`, '{}', 'application/jsonp', 415, /jsonp/],
  ];
  for (const [what, path, body, type, expected, says] of cases) {
    const reply = await posthorn.request('POST', path, body, { 'content-type': type });
    t.equal(reply.status, expected, what);
    t.equal(reply.headers.get('content-type'), 'application/problem+json', what);
    t.match(reply.json, { status: expected, detail: says, type: /^urn:posthorn:problem:/ }, what);
  }
  const largest = `"${'x'.repeat(1022)}"`;
  t.equal(Buffer.byteLength(largest), 1024);
  await posthorn.ingest(id, largest);
  await posthorn.ingest(id, '{}', {
    'content-type': 'application/cloudevents+json; charset=utf-8',
  });
  const received = await receiver.waitFor(2);
  t.ok(
    received.some(
      ({ headers }) => headers['content-type'] === 'application/cloudevents+json; charset=utf-8',
    ),
  );
});

t.test(
  'a signature from getsignature is accepted for the bytes for which it was computed',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe(receiver.url, SECRET);
    for (const payload of [{ a: [1, 2], b: 'é' }, '{ "as" : "given" }', 7, null, [true]]) {
      const { status, json } = await posthorn.request('POST', '/ingest/getsignature', {
        payload,
        secret: SECRET,
      });
      t.equal(status, 200);
      t.equal(json.signature, sign(json.signed_payload));
      await posthorn.ingest(id, json.signed_payload, { 'x-hub-signature-256': json.signature });
    }
    await receiver.waitFor(5);
  },
);

t.test('without a database: 503 with Retry-After, quickly, and nothing is accepted', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  await posthorn.ingest(id);
  await receiver.waitFor(1);
  // As in an outage: no connection is let in, and those that were are cut.
  const client = await connect(t, readRun().adminUrl);
  const name = databaseOf(posthorn.databaseUrl);
  await client.query(`alter database ${name} with allow_connections false`);
  await client.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()',
    [name],
  );
  const startedAt = Date.now();
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => posthorn.request('POST', `/ingest/${id}`, { n: 1 })),
  );
  t.ok(Date.now() - startedAt < 10_000);
  for (const { status, headers, json } of replies) {
    t.equal(status, 503);
    t.match(headers.get('retry-after') ?? '', /^\d+$/);
    t.equal(json.status, 503);
  }
  t.equal((await posthorn.request('GET', '/ping')).status, 503);
  t.equal((await posthorn.request('GET', '/readyz')).status, 503);
  t.equal((await posthorn.request('GET', '/healthz')).status, 200);
  await client.query(`alter database ${name} with allow_connections true`);
  await until('it takes webhooks again by itself', async () => {
    const { status } = await posthorn.request('POST', `/ingest/${id}`, { n: 2 });
    return status === 202;
  });
  await receiver.waitFor(2);
});

t.test(
  'when the queue of intake is full, webhooks get 503, and the waiting ones are accepted',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe(receiver.url);
    await posthorn.ingest(id);
    const client = await connect(t, posthorn.databaseUrl);
    // Nothing can be stored for as long as this lasts.
    await client.query('begin');
    await client.query('lock table posthorn.webhook_payloads in access exclusive mode');
    const body = `"${'x'.repeat(1024 * 1024 - 2)}"`;
    let refused = 0;
    const replies = Array.from({ length: 90 }, async () => {
      const reply = await posthorn.request('POST', `/ingest/${id}`, body);
      if (reply.status === 503) refused += 1;
      return reply;
    });
    await until('more than there is room for is refused', () => refused > 0);
    await client.query('commit');
    let accepted = 0;
    for (const { status, headers } of await Promise.all(replies)) {
      if (status === 202) accepted += 1;
      else t.match([status, headers.get('retry-after')], [503, /^\d+$/]);
    }
    t.ok(
      accepted >= 50,
      `${accepted} were accepted: a tenant that comes alone has four fifths of the room`,
    );
    await receiver.waitFor(accepted + 1);
  },
);
