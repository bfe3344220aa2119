import type pg from 'pg';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

type Headers = Record<string, unknown>;

const many = (count: number, value = 'v') =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, value]));

const TAKEN: Headers[] = [
  {},
  { 'X-Source': 'billing' },
  { "!#$%&'*+-.^_`|~0aZ": '' },
  { 'x-a': 'caf\u00e9 \u00ff\ttab', 'x-b': '"quoted\\"' },
  { accept: 'x', from: 'a@b.example', 'x-webhook-id': '1', hosts: '2', 'my-content-type': '3' },
  many(20),
  many(2, 'v'.repeat(2000)),
];

/** The header that the refusal names, or null if it is about all of them. */
const REFUSED: [headers: Headers, named: string | null][] = [
  ...[
    'Content-Length',
    'content_type',
    'CONTENT-ENCODING',
    'Host',
    'Connection',
    'Transfer-Encoding',
    'TE',
    'Trailer',
    'Upgrade',
    'Keep-Alive',
    'Expect',
    'Date',
    'webhook-id',
    'Webhook-Signature',
    'webhook.timestamp',
    'webhook-anything',
    'x-hub-signature-256',
    'Authorization',
    'Proxy-Authorization',
    'Cookie',
    'Set-Cookie',
    'User-Agent',
    'X-Forwarded-For',
    'X-Real-IP',
    'Forwarded',
    'Proxy',
    'Accept-Encoding',
    'HTTP2-Settings',
    'a b',
    'a:',
    'é',
    'x\n',
  ].map((name): [Headers, string] => [{ 'x-good': 'v', [name]: 'v' }, name]),
  ...['a\nb', 'a\r', '\u007f', '\u0100', '✓', '\u0001'].map((value): [Headers, string] => [
    { 'x-bad': value },
    'x-bad',
  ]),
  ...[1, null, true, ['v'], {}].map((value): [Headers, string] => [{ 'x-bad': value }, 'x-bad']),
  [{ 'x-bad': 'v'.repeat(2001) }, 'x-bad'],
  [{ ['x'.repeat(101)]: 'v' }, 'x'.repeat(100)],
  [{ '': 'v' }, ''],
  [{ 'x-a': '1', 'X-A': '2' }, null],
  [{ 'x-a': '1', x_a: '2' }, null],
  [many(21), null],
  [many(3, 'v'.repeat(1400)), null],
];

async function start(t: Test) {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const client = await connect(t, posthorn.databaseUrl);
  const create = async (more: object = {}) => {
    const { status, text } = await posthorn.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: ['order.*'],
      ...more,
    });
    t.equal(status, 201, text);
  };
  const storedOf = async (id: string) =>
    (await client.query('select headers from posthorn.webhook_payloads where id = $1', [id]))
      .rows[0].headers;
  return { posthorn, receiver, client, create, storedOf };
}

t.test('SQL and HTTP take the same headers, and refuse the others by name', async (t) => {
  const { posthorn, client, storedOf } = await start(t);
  const overHttp = (headers: unknown, event_type = 'order.created') =>
    posthorn.request('POST', '/v1/webhooks', { event_type, data: 1, headers });
  const bySql = (headers: unknown) =>
    client.query<{ id: string }>(
      `select posthorn.send('order.created', '1', headers => $1::text::jsonb) as id`,
      [JSON.stringify(headers)],
    );
  for (const headers of TAKEN) {
    const what = JSON.stringify(headers).slice(0, 100);
    const expected = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    const { status, json, text } = await overHttp(headers);
    t.equal(status, 202, `${what}: ${text}`);
    const { rows } = await bySql(headers);
    for (const id of [json.webhook_id, rows[0]?.id])
      t.strictSame(await storedOf(id), Object.keys(headers).length === 0 ? null : expected, what);
  }
  for (const [headers, named] of REFUSED) {
    const what = JSON.stringify(headers).slice(0, 100);
    const { status, json } = await overHttp(headers);
    t.equal(status, 400, what);
    const error = (await bySql(headers).then(
      () => null,
      (error: unknown) => error,
    )) as pg.DatabaseError | null;
    t.equal(error?.code, '22023', what);
    t.ok((error?.hint ?? '').length > 10, `${what}: ${error?.hint}`);
    if (named === null) continue;
    t.equal(json.errors[0].field.slice(0, 113), `body.headers.${named}`.slice(0, 113), what);
    t.ok(error?.message.includes(`the header "${named}" `), `${what}: ${error?.message}`);
  }
  for (const headers of [[], 'x', 1]) {
    t.equal((await overHttp(headers)).status, 400);
    await t.rejects(bySql(headers), { code: '22023', hint: /Give an object/ });
  }
});

t.test('headers of a batch and of send_many are sent with each delivery', async (t) => {
  const { posthorn, receiver, client, create } = await start(t);
  await create();
  await create();
  await posthorn.request('POST', '/v1/webhooks/batch', {
    webhooks: [
      { event_type: 'order.a', data: 1, headers: { 'X-Nth': 'first' } },
      { event_type: 'order.b', data: 1, headers: { 'X-Nth': 'second' } },
      { event_type: 'order.c', data: 1 },
    ],
  });
  await client.query(
    `select posthorn.send_many('{order.d,order.e}', array['1', '2']::jsonb[], headers => '{"X-Nth": "both"}')`,
  );
  const received = await receiver.waitFor(10);
  const sent = received.map(
    ({ headers, body }) => `${JSON.parse(body.toString()).type} ${headers['x-nth']}`,
  );
  const expected = ['a first', 'b second', 'c undefined', 'd both', 'e both'].flatMap((each) =>
    Array(2).fill(`order.${each}`),
  );
  t.strictSame(sent.toSorted(), expected);
});

t.test(
  'a header of the subscription, and its signature, go before those of the webhook',
  async (t) => {
    const { posthorn, receiver, create } = await start(t);
    await create({
      headers: { 'X-Source': 'subscription' },
      secret: 'a secret of some length',
      signature_header: 'X-Signature',
    });
    const { status, text } = await posthorn.request('POST', '/v1/webhooks', {
      event_type: 'order.created',
      data: 1,
      headers: { 'x-source': 'webhook', 'x-signature': 'forged', 'x-other': 'webhook' },
    });
    t.equal(status, 202, text);
    const [request] = await receiver.waitFor(1);
    t.equal(request?.headers['x-source'], 'subscription');
    t.equal(request?.headers['x-other'], 'webhook');
    t.match(request?.headers['x-signature'], /^[0-9a-f]{64}$/);
  },
);

t.test('a request with other headers is another request for its idempotency key', async (t) => {
  const { client } = await start(t);
  const send = (value: string) =>
    client.query(
      `select posthorn.send('order.created', '1', idempotency_key => 'k', headers => jsonb_build_object('X-A', $1::text))`,
      [value],
    );
  const first = await send('1');
  t.strictSame((await send('1')).rows, first.rows);
  await t.rejects(send('2'), { code: '23505' });
});
