// What sources really send besides JSON and one signature header, and what of it reaches the receiver.
import { createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import { Webhook as SvixWebhook } from 'svix';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SECRET = "It's a Secret to Everybody";
const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const BODY = '{ "zen": "Keep it logically awesome." }';
const FORM = 'application/x-www-form-urlencoded';
const GITHUB = { verify: { scheme: 'github', secret: SECRET } };

async function start(t: Test, answer?: Parameters<typeof startReceiver>[1]) {
  const receiver = await startReceiver(t, answer);
  const posthorn = await startTestService(t);
  const create = (fields: object) =>
    posthorn.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: [],
      ...fields,
    });
  return {
    receiver,
    posthorn,
    create,
    async subscribe(fields: object): Promise<number> {
      const { status, json, text } = await create(fields);
      if (status !== 201) throw new Error(text);
      return json.id;
    },
    ingest: (id: number, body: string | Buffer, headers: Record<string, string>) =>
      posthorn.request('POST', `/ingest/${id}`, body, headers),
  };
}

t.test('the svix- headers of a signature are taken as those of the standard', async (t) => {
  const { receiver, subscribe, ingest } = await start(t);
  const id = await subscribe({ verify: { scheme: 'standard-webhooks', secret: WHSEC } });
  const now = new Date();
  const timestamp = String(Math.floor(now.getTime() / 1000));
  const signature = new SvixWebhook(WHSEC).sign('msg_1', now, BODY);
  const as = (prefix: string, text = signature) => ({
    [`${prefix}-id`]: 'msg_1',
    [`${prefix}-timestamp`]: timestamp,
    [`${prefix}-signature`]: text,
  });
  t.equal((await ingest(id, BODY, as('svix'))).status, 202);
  t.equal((await ingest(id, BODY, as('webhook'))).status, 202);
  t.equal((await ingest(id, BODY, { ...as('webhook'), ...as('svix') })).status, 202);
  t.equal(
    (await ingest(id, BODY, { ...as('svix'), 'webhook-id': 'an id of another thing' })).status,
    202,
    'a set that is not complete hides no other set',
  );
  const wrong = `v1,${'A'.repeat(43)}=`;
  t.match((await ingest(id, BODY, as('svix', wrong))).json, {
    status: 401,
    detail: /svix-signature|no key/,
  });
  const { 'svix-timestamp': _, ...incomplete } = as('svix');
  t.equal((await ingest(id, BODY, incomplete)).status, 401);
  const old = { ...as('svix'), 'svix-timestamp': String(Number(timestamp) - 400) };
  t.equal((await ingest(id, BODY, old)).status, 401);
  await receiver.waitFor(4);
});

t.test('a content type that is repeated is that type, on every route', async (t) => {
  const { receiver, posthorn, subscribe, ingest } = await start(t);
  const id = await subscribe({});
  for (const [type, sent] of [
    ['application/json,application/json', 'application/json'],
    ['application/json, Application/JSON', 'application/json'],
    [
      'application/json; charset=utf-8, application/json; charset=utf-8',
      'application/json; charset=utf-8',
    ],
  ] as const) {
    const before = receiver.received.length;
    t.equal((await ingest(id, BODY, { 'content-type': type })).status, 202, type);
    const received = await receiver.waitFor(before + 1);
    t.equal(received.at(-1)?.headers['content-type'], sent);
    const created = await posthorn.request(
      'POST',
      '/v1/subscriptions',
      { url: receiver.url, event_types: [] },
      { 'content-type': type },
    );
    t.equal(created.status, 201, type);
  }
  const mixed = await ingest(id, BODY, { 'content-type': 'application/json,text/plain' });
  t.match(mixed.json, { status: 415, detail: /application\/json,text\/plain/ });
});

t.test(
  'a content coding, gzip bytes and a byte order mark get an error that names them',
  async (t) => {
    const { posthorn, subscribe, ingest } = await start(t);
    const id = await subscribe({});
    const gzipped = gzipSync(BODY);
    for (const coding of ['gzip', 'x-gzip', 'br', 'gzip, gzip', 'unknown']) {
      for (const path of [`/ingest/${id}`, '/v1/webhooks', '/v1/subscriptions']) {
        const reply = await posthorn.request('POST', path, gzipped, { 'content-encoding': coding });
        t.match(reply.json, { status: 415, detail: new RegExp(`content-encoding is ${coding}`) });
        t.equal(reply.headers.get('accept-encoding'), 'identity');
      }
    }
    t.equal((await ingest(id, BODY, { 'content-encoding': 'Identity' })).status, 202);
    const utf16 = Buffer.from(`\ufeff${BODY}`, 'utf16le');
    for (const [body, says] of [
      [gzipped, /gzip/],
      [Buffer.from(`\ufeff${BODY}`), /byte order mark \(BOM, the bytes EF BB BF\)/],
      [utf16, /UTF-16/],
      [Buffer.from(utf16).swap16(), /UTF-16/],
    ] as const) {
      for (const path of [`/ingest/${id}`, '/v1/webhooks', '/v1/subscriptions'])
        t.match((await posthorn.request('POST', path, body)).json, { status: 400, detail: says });
    }
  },
);

t.test(
  'bodies that are not JSON are delivered byte for byte where the subscription says so',
  async (t) => {
    const { receiver, subscribe, ingest } = await start(t);
    const github = await subscribe(GITHUB);
    const form = 'payload=%7B%22zen%22%3A+%22x%22%7D&n=\u00e9';
    const signed = { 'x-hub-signature-256': await octokitSign(SECRET, form) };
    const formType = `${FORM}; charset=utf-8`;
    const sns = await subscribe({
      ingest_content_types: ['Text/Plain', 'application/octet-stream'],
    });
    const text = '{"Type" : "Notification"}\n';
    const bytes = Buffer.from([0, 255, 31, 139]);
    t.equal((await ingest(github, form, { ...signed, 'content-type': formType })).status, 202);
    t.equal((await ingest(sns, text, { 'content-type': 'text/plain; charset=UTF-8' })).status, 202);
    t.equal((await ingest(sns, bytes, { 'content-type': 'application/octet-stream' })).status, 202);
    t.equal((await ingest(sns, BODY, {})).status, 202, 'JSON is always taken');
    const received = (await receiver.waitFor(4)).map(({ headers, body }) => [
      headers['content-type'],
      body.toString('latin1'),
    ]);
    t.strictSame(
      new Map(received as [string, string][]),
      new Map([
        [formType, Buffer.from(form).toString('latin1')],
        ['text/plain; charset=UTF-8', text],
        ['application/octet-stream', bytes.toString('latin1')],
        ['application/json', BODY],
      ]),
    );

    const plain = await subscribe({});
    const strict = await subscribe({ ...GITHUB, ingest_content_types: [] });
    for (const [id, type] of [
      [plain, FORM],
      [plain, 'text/plain'],
      [sns, FORM],
      [sns, 'text/plainer'],
      [strict, FORM],
    ] as const) {
      const reply = await ingest(id, form, { ...signed, 'content-type': type });
      t.match(reply.json, { status: 415, detail: /send application\/json.*ingest_content_types/ });
      t.match(reply.json.detail, type);
    }
    const other = await ingest(github, form, {
      ...signed,
      'content-type': FORM,
      'x-hub-signature-256': 'sha256=0',
    });
    t.equal(other.status, 401, 'the signature covers the bytes of a form');
    t.match((await ingest(sns, '', { 'content-type': 'text/plain' })).json, {
      status: 400,
      detail: /empty/,
    });
  },
);

t.test('the headers of a source reach the receiver, in each attempt and each replay', async (t) => {
  const { receiver, posthorn, subscribe, ingest } = await start(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end();
  });
  const id = await subscribe({ ...GITHUB, retry_schedule: '100ms' });
  const source = {
    'x-github-event': 'push',
    'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
  };
  const { json } = await ingest(id, BODY, {
    ...source,
    'x-hub-signature-256': await octokitSign(SECRET, BODY),
    'x-another': 'stays here',
    authorization: 'Bearer stays-here-too',
    cookie: 'a=b',
  });
  const path = `/v1/webhooks/${json.webhook_id}`;
  await receiver.waitFor(2);
  await until('it has succeeded', async () => {
    const { json: shown } = await posthorn.request('GET', path);
    t.strictSame(shown.headers, source);
    return shown.deliveries[0].state === 'succeeded';
  });
  const again = await posthorn.request('POST', `/v1/deliveries/${json.webhook_id}.${id}/retry`);
  t.equal(again.status, 202, again.text);
  for (const { headers } of await receiver.waitFor(3)) {
    t.match(headers, source);
    t.notOk(headers['x-another'] ?? headers.authorization ?? headers.cookie);
    t.notOk(headers['x-hub-signature-256'], 'the signature of the source is not passed on');
  }
});

t.test('forward_headers replaces the defaults, and our own headers go first', async (t) => {
  const { receiver, posthorn, subscribe, ingest } = await start(t);
  const id = await subscribe({
    ...GITHUB,
    forward_headers: ['X-Event-Key', 'X-Own', 'X-Signed', 'X_Latin'],
    headers: { 'x-own': 'ours' },
    secret: 'ours',
    signature_header: 'x-signed',
  });
  const given = {
    'x-github-event': 'push',
    'x-event-key': 'repo:push, "x"\\',
    'x-own': 'theirs',
    'x-signed': 'theirs',
    x_latin: 'Zo\u00eb',
    'x-hub-signature-256': await octokitSign(SECRET, BODY),
  };
  t.equal((await ingest(id, BODY, given)).status, 202);
  const [first] = await receiver.waitFor(1);
  t.match(first?.headers, {
    'x-event-key': given['x-event-key'],
    'x-own': 'ours',
    'x-signed': createHmac('sha256', 'ours').update(BODY).digest('hex'),
    x_latin: given.x_latin,
  });
  t.notOk(first?.headers['x-github-event']);

  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { forward_headers: [] });
  t.equal((await ingest(id, BODY, given)).status, 202);
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { forward_headers: null });
  t.equal((await ingest(id, BODY, given)).status, 202);
  const [, none, defaults] = await receiver.waitFor(3);
  const events = [none, defaults].map((request) => request?.headers['x-github-event']);
  t.strictSame(new Set(events), new Set([undefined, 'push']));

  const tooLarge = await ingest(id, BODY, { ...given, 'x-github-delivery': 'x'.repeat(5000) });
  t.match(tooLarge.json, { status: 400, detail: /at most 4096/ });
});

t.test('a webhook with no forwarded header stores none', async (t) => {
  const { posthorn, subscribe, ingest } = await start(t);
  const id = await subscribe({ forward_headers: ['x-a'] });
  const { json } = await ingest(id, BODY, { 'x-b': 'c' });
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('select headers from posthorn.webhooks');
  t.strictSame(rows, [{ headers: null }]);
  t.equal((await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`)).json.headers, null);
});

t.test('headers and content types that cannot be taken are refused with the reason', async (t) => {
  const { create } = await start(t);
  const names = [
    ...['webhook-id', 'Webhook-Anything', 'content-type', 'Content-Language', 'host', 'cookie'],
    ...['Authorization', 'connection', 'te', 'X-Forwarded-For', 'x_forwarded_for', 'user-agent'],
    ...['x-hub-signature-256', 'proxy-authorization', 'transfer-encoding', 'set-cookie'],
  ];
  for (const name of names) {
    const { json } = await create({ forward_headers: ['x-fine', name] });
    t.match(json, { status: 400, errors: [{ field: 'body.forward_headers.1' }] }, name);
  }
  t.match((await create({ forward_headers: ['a b'] })).json, { detail: /not a header name/ });
  t.equal((await create({ forward_headers: new Array(21).fill('x') })).status, 400);
  for (const type of ['text', 'text/*', '*/*', 'text/plain; charset=utf-8', '/', 'a/b/c', 'a /b'])
    t.match(
      (await create({ ingest_content_types: [type] })).json,
      { status: 400, errors: [{ field: 'body.ingest_content_types.0' }] },
      type,
    );
});

t.test('bodies that are not UTF-8 are delivered byte for byte, whatever their size', async (t) => {
  const { receiver, subscribe, ingest } = await start(t);
  const id = await subscribe({ ingest_content_types: ['application/octet-stream'] });
  const all = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  // Around 64 KiB, from where a body is loaded in another way.
  const sizes = [1, 256, 65_519, 65_535, 65_536, 65_537, 65_545, 70_000, 300_000];
  const sent = new Map<string, Buffer>();
  for (const size of sizes) {
    const body = Buffer.alloc(size, all).reverse();
    const { json } = await ingest(id, body, { 'content-type': 'application/octet-stream' });
    sent.set(json.webhook_id, body);
  }
  for (const { headers, body } of await receiver.waitFor(sizes.length))
    t.ok(body.equals(sent.get(headers['webhook-id'] as string) as Buffer), `${body.length} bytes`);
});
