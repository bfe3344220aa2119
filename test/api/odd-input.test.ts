import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const CREATE = '/subscriptions/createsubscription';
const UPDATE = '/subscriptions/updatesubscription';
const DEEP = '['.repeat(100_000) + ']'.repeat(100_000);
const cursor = (position: unknown) => Buffer.from(JSON.stringify(position)).toString('base64url');

/** One service, shared by all tests that need no settings and no database of their own. */
const posthorn = await startTestService(t);

t.test('a URL is stored as the URL standard spells it, and shown as it is stored', async (t) => {
  const client = await connect(t, posthorn.databaseUrl);
  const spellings: Record<string, string> = {
    'HTTP://a.b': 'http://a.b/',
    '  https://a.b': 'https://a.b/',
    'https:a.b': 'https://a.b/',
    'http:\\\\a.b': 'http://a.b/',
    'https://EXAMPLE.com:443/x y': 'https://example.com/x%20y',
    'https://a.b/\u0001c': 'https://a.b/%01c',
    'https://example.com': 'https://example.com',
    'https://example.com/webhooks?a=%20&b#c': 'https://example.com/webhooks?a=%20&b#c',
  };
  for (const [url, spelt] of Object.entries(spellings)) {
    const { json: first } = await posthorn.request('POST', CREATE, { url: 'https://before.it' });
    const { id } = first;
    const replies = [
      await posthorn.request('POST', CREATE, { url }),
      await posthorn.request('POST', '/v1/subscriptions', { url }),
      await posthorn.request('PUT', UPDATE, { id, url }),
      await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { url }),
    ];
    for (const { status, json, text } of replies) {
      t.ok(status < 300, `${url}: ${status} ${text}`);
      t.equal(json.url, spelt, url);
      const { rows } = await client.query('select url from posthorn.subscriptions where id = $1', [
        json.id,
      ]);
      t.equal(rows[0].url, spelt, url);
    }
  }
});

t.test('text that the database cannot store is refused with the field', async (t) => {
  const url = 'https://example.com';
  await posthorn.request('POST', CREATE, { url });
  const urn = 'urn:uuid:01890a5d-ac96-774b-bcce-b302099a8057';
  const cases: [method: string, path: string, body: unknown, field: string][] = [
    ['POST', CREATE, { url: 'https://\u0000.b' }, 'body.url'],
    ['POST', CREATE, { url, secret: 'a\u0000' }, 'body.secret'],
    ['POST', CREATE, `{"url": "${url}", "secret": "\\ud800"}`, 'body.secret'],
    ['PUT', UPDATE, { id: 1, secret: 'a\u0000' }, 'body.secret'],
    ['POST', '/v1/subscriptions', { url, secret: 'a\u0000' }, 'body.secret'],
    ['POST', '/v1/subscriptions', { url, description: '\u0000' }, 'body.description'],
    ['PATCH', '/v1/subscriptions/1', { description: '\u0000' }, 'body.description'],
    ['GET', `/v1/webhooks/${urn}`, undefined, 'path.webhook_id'],
    ['GET', `/v1/deliveries?webhook_id=${urn}`, undefined, 'query.webhook_id'],
    ['GET', `/logs/deliverylogs?webhook_id=${urn}`, undefined, 'query.webhook_id'],
    ['GET', '/logs/deliverylogs?since=2016-12-31T23:59:60Z', undefined, 'query.since'],
    ['GET', '/v1/deliveries?until=2016-12-31T23:59:60Z', undefined, 'query.until'],
    ...[
      ['2026-13-45 25:61:61+00', 1],
      ['9'.repeat(17), 1],
      [{ toString: null }, 1],
      [[1], 1],
      [1],
      7,
    ].map((position): [string, string, undefined, string] => [
      'GET',
      `/logs/deliverylogs?cursor=${cursor(position)}`,
      undefined,
      'query.cursor',
    ]),
    ['GET', `/v1/deliveries?cursor=${cursor([urn, 1])}`, undefined, 'query.cursor'],
    ['GET', `/v1/deliveries?cursor=${cursor([urn.slice(9), 2 ** 31])}`, undefined, 'query.cursor'],
    ['GET', `/v1/subscriptions?cursor=${cursor([2 ** 31])}`, undefined, 'query.cursor'],
    ['POST', '/ingest/getsignature', `{"secret": "x", "payload": ${DEEP}}`, 'body.payload'],
    ['POST', '/ingest/getsignature', '{"secret": "x", "payload": "\\ud800"}', 'body.payload'],
    [
      'POST',
      '/v1/subscriptions',
      { url, metadata: { 'a/~\u0000': 'x' } },
      'body.metadata.a/~\u0000',
    ],
    ['POST', '/v1/tenants', { id: 'acme', metadata: { a: '\u0000' } }, 'body.metadata.a'],
    ['POST', '/v1/tenants', 'null', 'body'],
    ['POST', '/v1/tenants', '[]', 'body'],
    ['POST', '/v1/subscriptions/1/pause', 'null', 'body'],
    ['GET', '/v1/tenants/a%00b', undefined, 'path.tenant_id'],
    ['GET', '/v1/keys?tenant=%00', undefined, 'query.tenant'],
  ];
  for (const [method, path, body, field] of cases) {
    const { status, json, text } = await posthorn.request(method, path, body);
    t.equal(status, 400, `${method} ${path} ${JSON.stringify(body)?.slice(0, 80)}: ${text}`);
    t.equal(json.errors?.[0]?.field, field);
  }
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    secret: 'schlüssel 🔑',
    description: 'several\nlines 🚀',
  });
  t.match(json, { has_secret: true, description: 'several\nlines 🚀' });
});

t.test('a payload of any depth is delivered unchanged', async (t) => {
  const receiver = await startReceiver(t);
  await posthorn.request('POST', '/v1/subscriptions', { url: receiver.url });
  const one = `{"event_type": "deep", "raw": true, "data": ${DEEP}}`;
  t.equal((await posthorn.request('POST', '/v1/webhooks', one)).status, 202);
  t.equal(
    (await posthorn.request('POST', '/v1/webhooks/batch', `{"webhooks": [${one}]}`)).status,
    202,
  );
  for (const { body } of await receiver.waitFor(2)) t.ok(body.toString() === DEEP);
});

t.test('data that Postgres or a schema cannot read does not cause an error', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    filter: '$.total > 100',
  });
  const send = (type: string, data: string) =>
    posthorn.request('POST', '/v1/webhooks', `{"event_type": "${type}", "data": ${data}}`);
  await posthorn.request('POST', '/v1/event-types', {
    name: 'tree',
    schema: { $defs: { tree: { items: { $ref: '#/$defs/tree' } } }, $ref: '#/$defs/tree' },
  });
  const set = await posthorn.request('PATCH', '/v1/event-type-settings', { validate: true });
  t.equal(set.status, 200, set.text);
  for (const data of [DEEP, '"\\u0000"', '{"\\u0000": 1}', '"\\ud800"', '1e999999', '"\uffff"']) {
    const name = data.slice(0, 20);
    const sent = await send('order.created', data);
    t.match(sent, { status: 202, json: { deliveries: 0 } }, `${name}: ${sent.text}`);
    const judged = await send('tree', data);
    t.ok([202, 400].includes(judged.status), `${name} by its schema: ${judged.text}`);
    const tried = await posthorn.request('POST', '/v1/filters/test', { filter: '$.total > 100' });
    t.equal(tried.status, 200, `${name}: ${tried.text}`);
    const test = await posthorn.request(
      'POST',
      `/v1/subscriptions/${json.id}/test`,
      `{"data": ${data}}`,
    );
    if (data === DEEP) t.match(test, { status: 400, json: { errors: [{ field: 'body.data' }] } });
    else t.match(test, { status: 200, json: { status: 'success' } }, `${name}: ${test.text}`);
  }
});

t.test('any time of RFC 3339 bounds a list, also before 1970 and in the far future', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  await posthorn.ingest(await posthorn.subscribe(receiver.url));
  const count = async (query: string) => {
    const { status, json, text } = await posthorn.request('GET', `/v1/deliveries?${query}`);
    t.equal(status, 200, `${query}: ${text}`);
    return json.data.length;
  };
  for (const past of [
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00%2B14:00',
    '1969-12-31T23:59:59Z',
  ]) {
    t.equal(await count(`since=${past}`), 1, `since ${past}`);
    t.equal(await count(`until=${past}`), 0, `until ${past}`);
    const logs = await posthorn.request('GET', `/logs/deliverylogs?until=${past}`);
    t.strictSame(logs.json, [], past);
  }
  t.equal(await count('since=9999-12-31T23:59:59-14:00'), 0);
  t.equal(await count('until=9999-12-31T23:59:59-14:00'), 1);
});

t.test('posthorn.uuidv7_floor clamps times that do not fit into 48 bits', async (t) => {
  const client = await connect(t, posthorn.databaseUrl);
  const first = '00000000-0000-0000-0000-000000000000';
  const last = 'ffffffff-ffff-0000-0000-000000000000';
  for (const [at, expected] of [
    ['-infinity', first],
    ['4713-01-01 00:00:00+00 BC', first],
    ['1969-12-31 23:59:59.999+00', first],
    ['1970-01-01 00:00:00.001+00', '00000000-0001-0000-0000-000000000000'],
    ['10889-08-02 05:31:50.655+00', last],
    ['10889-08-02 05:31:50.656+00', last],
    ['294276-12-31 00:00:00+00', last],
    ['infinity', last],
    [null, null],
  ]) {
    const { rows } = await client.query('select posthorn.uuidv7_floor($1) as floor', [at]);
    t.equal(rows[0].floor, expected, String(at));
  }
});

t.test('a number in a URL is decimal digits', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startReceiver(t);
  t.equal(await posthorn.subscribe(receiver.url), 1);
  for (const one of ['0x1', '1e0', '+1', '%201', '1.0', '-1', '1_', '٣', '0b1', '9'.repeat(20)]) {
    for (const [method, path, field] of [
      ['POST', `/ingest/${one}`, 'path.subscription_id'],
      ['GET', `/v1/subscriptions/${one}`, 'path.subscription_id'],
      ['GET', `/v1/deliveries?limit=${one}`, 'query.limit'],
      ['GET', `/logs/deliverylogs?subscription_id=${one}`, 'query.subscription_id'],
    ] as const) {
      const { status, json } = await posthorn.request(
        method,
        path,
        method === 'POST' ? {} : undefined,
      );
      t.equal(status, 400, `${method} ${path}`);
      t.equal(json.errors[0].field, field);
    }
  }
  t.equal((await posthorn.request('GET', '/v1/deliveries?limit=')).status, 400);
  t.equal((await posthorn.request('GET', '/v1/deliveries?limit=1&limit=2')).status, 400);
  t.equal((await posthorn.request('GET', '/v1/deliveries?limit=1&subscription_id=1')).status, 200);
});

t.test('a JSON body is not coerced to other types', async (t) => {
  const url = 'https://example.com';
  for (const name of ['__proto__', 'constructor']) {
    const { status, json } = await posthorn.request(
      'POST',
      CREATE,
      `{"url": "${url}", "${name}": {"prototype": 1}}`,
    );
    t.equal(status, 400);
    t.match(json.errors, [
      { field: `body.${name}`, message: /not known here; known fields are url/ },
    ]);
    const payload = `{"${name}":{"prototype":1}}`;
    const signed = await posthorn.request(
      'POST',
      '/ingest/getsignature',
      `{"payload": ${payload}, "secret": "x"}`,
    );
    t.equal(signed.json.signed_payload, payload);
  }
  const latin1 = Buffer.from(`{"url": "${url}", "secret": "schlüssel"}`, 'latin1');
  for (const [body, says] of [
    [latin1, /not UTF-8/],
    ['', /empty/],
    ['{"url": ', /not valid JSON: .*end of JSON/],
  ] as const) {
    const { status, json } = await posthorn.request('POST', CREATE, body);
    t.equal(status, 400);
    t.match(json, { type: 'urn:posthorn:problem:invalid-json', detail: says });
  }
});

t.test('the answer to a body with a thousand mistakes is short', async (t) => {
  const names = Array.from({ length: 5000 }, (_, n) => [`${n}${'x'.repeat(150)}`, n]);
  const { status, json, text } = await posthorn.request('POST', CREATE, Object.fromEntries(names));
  t.equal(status, 400);
  t.equal(json.errors.length, 20);
  t.ok(text.length < 10_000, `${text.length} characters`);
});

t.test(
  'a list with far too many members is refused without the validation of each member',
  async (t) => {
    const wide = `[${'0,'.repeat(400_000)}0]`;
    const named = `{${Array.from({ length: 80_000 }, (_, n) => `"k${n}":1`).join()}}`;
    for (const [field, value, says] of [
      ['event_types', wide, /^body.event_types must NOT have more than 100 items/],
      ['secret', wide, /^body.secret must be of type string/],
      ['metadata', named, /^body.metadata must NOT have more than 50 properties/],
      ['rate_limit', named, /^body.rate_limit must NOT have more than/],
    ] as const) {
      const body = `{"url":"https://example.com","${field}":${value}}`;
      const { status, json } = await posthorn.request('POST', '/v1/subscriptions', body);
      t.equal(status, 400);
      t.match(json.detail, says);
      // Each element that is judged is an error that is told.
      t.ok(json.errors.length <= 2, `${json.errors.length} errors`);
    }
  },
);

t.test('a content-type without a body is accepted where no body is needed', async (t) => {
  const id = await posthorn.subscribe('https://example.com');
  const typed = { 'content-type': 'application/json' };
  const remove = () => posthorn.request('DELETE', `/v1/subscriptions/${id}`, undefined, typed);
  t.equal((await remove()).status, 200);
  t.equal((await remove()).status, 404);
  const wanted = await posthorn.request('POST', '/v1/subscriptions', '', typed);
  t.match(wanted.json, { status: 400, type: 'urn:posthorn:problem:invalid-json', detail: /empty/ });
});
