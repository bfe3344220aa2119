import { createHmac } from 'node:crypto';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const CREATE = '/subscriptions/createsubscription';
const UPDATE = '/subscriptions/updatesubscription';
const DELETE = '/subscriptions/deletesubscription';

t.test(
  'a subscription is created, listed, changed and deleted as in the first system',
  async (t) => {
    const posthorn = await startTestService(t);
    t.strictSame((await posthorn.request('GET', '/subscriptions/getsubscriptions')).json, []);

    const created = await posthorn.request('POST', CREATE, {
      url: 'https://example.com/a',
      secret: 's3cret',
    });
    t.equal(created.status, 201);
    t.match(created.json, { id: 1, url: 'https://example.com/a', has_secret: true });
    t.match(created.json.created_at, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    const { id } = created.json;

    const listed = await posthorn.request('GET', '/subscriptions/getsubscriptions');
    const { warning, ...shown } = created.json;
    t.match(warning, /whsec_/, 'its secret is a text');
    t.strictSame(listed.json, [shown]);

    const updated = await posthorn.request('PUT', UPDATE, { id, url: 'https://example.com/b' });
    t.equal(updated.status, 200);
    t.match(updated.json, {
      message: 'Subscription updated successfully',
      id,
      url: 'https://example.com/b',
      has_secret: true,
    });

    const deleted = await posthorn.request('DELETE', DELETE, { id });
    t.equal(deleted.status, 200);
    t.match(deleted.json, { message: 'Subscription deleted successfully' });
    t.strictSame((await posthorn.request('GET', '/subscriptions/getsubscriptions')).json, []);
    t.equal((await posthorn.request('DELETE', DELETE, { id })).status, 404);
    t.equal(
      (await posthorn.request('PUT', UPDATE, { id, url: 'https://example.com' })).status,
      404,
    );
  },
);

t.test('a secret is never shown again, and is forgotten with its subscription', async (t) => {
  const posthorn = await startTestService(t);
  const secret = 'canary-5c1f0e';
  const { json, text } = await posthorn.request('POST', CREATE, {
    url: 'https://example.com',
    secret,
  });
  const answers = [
    text,
    (await posthorn.request('GET', '/subscriptions/getsubscriptions')).text,
    (await posthorn.request('PUT', UPDATE, { id: json.id, secret: `${secret}-2` })).text,
    (await posthorn.request('POST', CREATE, { url: 'ftp://example.com', secret })).text,
  ];
  for (const answer of answers) t.notMatch(answer, /canary/);
  await posthorn.request('DELETE', DELETE, { id: json.id });
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('select secret from posthorn.subscriptions where id = $1', [
    json.id,
  ]);
  t.equal(rows[0].secret, null);
});

t.test('bad input is refused with the field, what was wrong and what would be right', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ALLOW_NETWORKS: '' });
  const url = 'https://example.com';
  const cases: [
    what: string,
    method: string,
    path: string,
    body: unknown,
    field: string,
    says: RegExp,
  ][] = [
    ['no url', 'POST', CREATE, {}, 'body.url', /missing/],
    ['a url of another type', 'POST', CREATE, { url: 7 }, 'body.url', /string/],
    ['an empty url', 'POST', CREATE, { url: '' }, 'body.url', /1 char/],
    ['a relative url', 'POST', CREATE, { url: '/a' }, 'body.url', /absolute URL/],
    ['another scheme', 'POST', CREATE, { url: 'ftp://example.com' }, 'body.url', /https and http/],
    ['credentials', 'POST', CREATE, { url: 'https://a:b@example.com' }, 'body.url', /password/],
    [
      'a private literal',
      'POST',
      CREATE,
      { url: 'http://10.0.0.1/' },
      'body.url',
      /private address/,
    ],
    [
      'loopback as a number',
      'POST',
      CREATE,
      { url: 'http://2130706433/' },
      'body.url',
      /POSTHORN_ALLOW_NETWORKS/,
    ],
    ['loopback by name', 'POST', CREATE, { url: 'http://localhost:9/' }, 'body.url', /loopback/],
    [
      'a port that is not open',
      'POST',
      CREATE,
      { url: 'https://example.com:8080/' },
      'body.url',
      /its port is 8080, and deliveries go to ports 80, 443 only/,
    ],
    ['metadata', 'POST', CREATE, { url: 'http://169.254.169.254/' }, 'body.url', /link-local/],
    [
      'an unknown field',
      'POST',
      CREATE,
      { url, secrt: 'x' },
      'body.secrt',
      /known fields are url, secret/,
    ],
    ['an empty secret', 'POST', CREATE, { url, secret: '' }, 'body.secret', /empty/],
    [
      'a short whsec_',
      'POST',
      CREATE,
      { url, secret: 'whsec_c2hvcnQ=' },
      'body.secret',
      /24 to 64/,
    ],
    ['an array', 'POST', CREATE, [], 'body', /object/],
    ['any column', 'PUT', UPDATE, { id: 1, created_at: 'x' }, 'body.created_at', /not known/],
    ['nothing to change', 'PUT', UPDATE, { id: 1 }, 'body', /url, secret/],
    ['an id as text', 'DELETE', DELETE, { id: '1' }, 'body.id', /integer/],
    ['no id', 'DELETE', DELETE, {}, 'body.id', /missing/],
  ];
  for (const [what, method, path, body, field, says] of cases) {
    const reply = await posthorn.request(method, path, body);
    t.equal(reply.status, 400, what);
    t.equal(reply.headers.get('content-type'), 'application/problem+json', what);
    const error = reply.json.errors?.find((one: { field: string }) => one.field === field);
    t.match(error?.message, says, `${what}: ${reply.text}`);
  }
  t.match((await posthorn.request('POST', CREATE, '{"url":')).json, {
    status: 400,
    detail: /not valid JSON/,
  });
  t.match(
    (await posthorn.request('POST', CREATE, 'url=x', { 'content-type': 'text/plain' })).json,
    { status: 415 },
  );
  t.match((await posthorn.request('GET', '/nowhere')).json, { status: 404, detail: /api\/docs/ });
});

t.test('deleting cancels what is pending, and history stays', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const id = await posthorn.subscribe(receiver.url);
  const webhookId = await posthorn.ingest(id);
  await until('the first attempt is recorded', async () => {
    const { json } = await posthorn.request('GET', '/logs/deliverylogs');
    return json.length === 1;
  });
  const { json } = await posthorn.request('DELETE', DELETE, { id });
  t.equal(json.cancelled, 1);
  const webhook = (await posthorn.request('GET', `/v1/webhooks/${webhookId}`)).json;
  t.match(webhook.deliveries, [
    { state: 'cancelled', next_attempt_at: null, attempts: [{ attempt_number: 1 }] },
  ]);
  t.equal((await posthorn.request('POST', `/ingest/${id}`, {})).status, 404);
});

t.test('a change takes effect within a second in every process', async (t) => {
  const receiver = await startReceiver(t);
  const databaseUrl = await createTestDatabase(t);
  const [one, other] = [
    await startTestService(t, { DATABASE_URL: databaseUrl }),
    await startTestService(t, { DATABASE_URL: databaseUrl }),
  ];
  const body = '{"n":1}';
  const signed = (secret: string) => ({
    'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
  });
  const id = await one.subscribe(receiver.url, 'old');
  // Both know it now.
  await one.ingest(id, body, signed('old'));
  await other.ingest(id, body, signed('old'));

  await one.request('PUT', UPDATE, { id, secret: 'new' });
  const changedAt = Date.now();
  await until('the other process takes the new secret', async () => {
    return (await other.request('POST', `/ingest/${id}`, body, signed('new'))).status === 202;
  });
  t.ok(Date.now() - changedAt < TOLD_MS);
  t.equal((await other.request('POST', `/ingest/${id}`, body, signed('old'))).status, 401);

  await other.request('DELETE', DELETE, { id });
  const deletedAt = Date.now();
  await until('the first process knows it is gone', async () => {
    return (await one.request('POST', `/ingest/${id}`, body, signed('new'))).status === 404;
  });
  t.ok(Date.now() - deletedAt < TOLD_MS);
});

t.test('with an admin key, every route except the public ones needs a key', async (t) => {
  const key = 'an admin key of some length';
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: key });
  const bearer = { authorization: `Bearer ${key}` };
  const closed: [method: string, path: string, body?: unknown][] = [
    ['POST', CREATE, { url: receiver.url }],
    ['GET', '/subscriptions/getsubscriptions'],
    ['PUT', UPDATE, { id: 1, url: receiver.url }],
    ['DELETE', DELETE, { id: 77 }],
    ['POST', '/ingest/1', {}],
    ['POST', '/ingest/getsignature', { payload: 1, secret: 'x' }],
    ['GET', '/logs/deliverylogs'],
    ['GET', '/v1/webhooks/01890a5d-ac96-774b-bcce-b302099a8057'],
    ['GET', '/v1/deliveries'],
    ['GET', '/v1/stats'],
  ];
  for (const [method, path, body] of closed) {
    for (const headers of [
      {},
      { authorization: 'Bearer wrong' },
      { authorization: `Basic ${key}` },
    ]) {
      const { status, json } = await posthorn.request(
        method,
        path,
        body,
        headers as Record<string, string>,
      );
      t.equal(status, 401, `${method} ${path} ${JSON.stringify(headers)}`);
      t.match(json.detail, /[Kk]ey/);
    }
    t.not(
      (await posthorn.request(method, path, body, bearer)).status,
      401,
      `${method} ${path} with the key`,
    );
  }
  for (const path of ['/ping', '/healthz', '/readyz', '/metrics', '/api/docs/', '/api/docs/json']) {
    t.equal((await posthorn.request('GET', path)).status, 200, path);
  }

  const { json } = await posthorn.request(
    'POST',
    CREATE,
    { url: receiver.url, secret: 'signs' },
    bearer,
  );
  const signature = `sha256=${createHmac('sha256', 'signs').update('{}').digest('hex')}`;
  const signed = await posthorn.request('POST', `/ingest/${json.id}`, '{}', {
    'x-hub-signature-256': signature,
  });
  t.equal(signed.status, 202, 'a valid signature is proof enough for its subscription');
  t.equal(
    (await posthorn.request('POST', `/ingest/${json.id}`, '{}', bearer)).status,
    401,
    'the key is no signature',
  );
});
