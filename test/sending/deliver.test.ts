import { verify } from '@octokit/webhooks-methods';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** The only delivery of a webhook, once `ready` says so. */
async function delivery(
  posthorn: TestService,
  webhookId: string,
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests look at
  ready: (delivery: any) => boolean = ({ state }) => state !== 'pending',
  timeoutMs = 20_000,
  // biome-ignore lint/suspicious/noExplicitAny: the same
): Promise<any> {
  return await until(
    `the delivery of ${webhookId} is as expected`,
    async () => {
      const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
      return ready(json.deliveries[0]) && json.deliveries[0];
    },
    timeoutMs,
  );
}

t.test(
  'a delivery carries the signatures that other libraries verify, on every attempt',
  async (t) => {
    const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const receiver = await startReceiver(t, (response, _request, nth) => {
      response.statusCode = nth === 1 ? 500 : 204;
      response.end();
    });
    // A fifth earlier is still more than a second later, so that the timestamps differ.
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1300ms' });
    const id = await posthorn.subscribe(`${receiver.url}/hooks?a=1`, secret);
    const body = '{ "test": 2432232314 }';
    const { json } = await posthorn.request('POST', '/ingest/getsignature', {
      payload: body,
      secret,
    });
    const webhookId = await posthorn.ingest(id, body, { 'x-hub-signature-256': json.signature });
    const requests = await receiver.waitFor(2);
    for (const { method, path, headers, body: received } of requests) {
      t.equal(method, 'POST');
      t.equal(path, '/hooks?a=1');
      t.equal(headers['webhook-id'], webhookId);
      t.match(headers['user-agent'], /^Posthorn\/\d+\.\d+\.\d+$/);
      t.equal(headers['x-hub-signature'], undefined, 'the secret itself is never sent');
      t.notMatch(JSON.stringify(headers), secret);
      new Webhook(secret).verify(received, headers as Record<string, string>);
      t.ok(await verify(secret, received.toString(), headers['x-hub-signature-256'] as string));
      const ageSeconds = Date.now() / 1000 - Number(headers['webhook-timestamp']);
      t.ok(ageSeconds > -2 && ageSeconds < 10, 'the timestamp is of the attempt');
    }
    const [first, second] = requests;
    t.not(first?.headers['webhook-timestamp'], second?.headers['webhook-timestamp']);
  },
);

t.test('without a secret there is an id and a timestamp, and no signature', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const webhookId = await posthorn.ingest(await posthorn.subscribe(receiver.url));
  const [request] = await receiver.waitFor(1);
  t.equal(request?.headers['webhook-id'], webhookId);
  t.match(request?.headers['webhook-timestamp'], /^\d{10}$/);
  t.equal(request?.headers['webhook-signature'], undefined);
  t.equal(request?.headers['x-hub-signature-256'], undefined);
});

t.test('a failure is tried again after the schedule, then the delivery is failed', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end('broken');
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '200ms,600ms' });
  const webhookId = await posthorn.ingest(await posthorn.subscribe(receiver.url));
  const { state, attempts, next_attempt_at } = await delivery(posthorn, webhookId);
  t.equal(state, 'failed');
  t.equal(next_attempt_at, null);
  t.match(
    attempts,
    [1, 2, 3].map((n) => ({ attempt_number: n, status: 'failed', response_code: 500 })),
  );
  t.equal(receiver.received.length, 3);
  const [first, second, third] = receiver.received.map(({ at }) => at) as [number, number, number];
  t.ok(second - first >= 160, `the first delay is at least 160 ms: ${second - first}`);
  t.ok(third - second >= 480, `the second delay is at least 480 ms: ${third - second}`);
});

t.test('each kind of answer is judged as the README says', async (t) => {
  const receiver = await startReceiver(t, (response, { path }, nth) => {
    const status = Number(path.slice(1));
    response.writeHead(status, status === 302 ? { location: `${receiver.url}/elsewhere` } : {});
    response.end(nth > 0 ? 'body' : '');
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const cases: [status: number, state: string, attempt: string, code: string | null][] = [
    [200, 'succeeded', 'success', null],
    [201, 'succeeded', 'success', null],
    [204, 'succeeded', 'success', null],
    [299, 'succeeded', 'success', null],
    [302, 'pending', 'failed', 'redirect'],
    [400, 'pending', 'failed', 'http_status'],
    [404, 'pending', 'failed', 'http_status'],
    [410, 'failed', 'failed', 'gone'],
    [429, 'pending', 'failed', 'http_status'],
    [500, 'pending', 'failed', 'http_status'],
  ];
  for (const [status, state, attempt, code] of cases) {
    const webhookId = await posthorn.ingest(await posthorn.subscribe(`${receiver.url}/${status}`));
    const result = await delivery(posthorn, webhookId, ({ attempts }) => attempts.length === 1);
    t.match(
      result,
      { state, attempts: [{ status: attempt, response_code: status, error_code: code }] },
      `${status}`,
    );
  }
  t.notOk(
    receiver.received.some(({ path }) => path === '/elsewhere'),
    'a redirect is not followed',
  );
});

t.test('Retry-After is honoured, up to the longest delay of the schedule', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    response.writeHead(503, { 'retry-after': path === '/patient' ? '600' : '999999' });
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1s,1h' });
  for (const [path, expected] of [
    ['/patient', 600],
    ['/endless', 3600],
  ] as const) {
    const webhookId = await posthorn.ingest(await posthorn.subscribe(receiver.url + path));
    const { next_attempt_at, attempts } = await delivery(
      posthorn,
      webhookId,
      (one) => one.attempts.length === 1,
    );
    const waitSeconds = (Date.parse(next_attempt_at) - Date.parse(attempts[0].timestamp)) / 1000;
    t.ok(Math.abs(waitSeconds - expected) < 5, `${path}: ${waitSeconds} s`);
  }
});

t.test('what cannot be reached is recorded with a word and a sentence', async (t) => {
  const gone = await startReceiver(t);
  await gone.close();
  const silent = await startReceiver(t, () => {});
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  // Only one has a time limit: on a busy machine the others could take as long.
  const cases: [url: string, status: string, code: string, says: RegExp, timeout?: string][] = [
    [gone.url, 'failed', 'refused', /refused/],
    [silent.url, 'timeout', 'timeout_response', /within 1s/, '1s'],
    ['http://no-such-host.invalid/', 'failed', 'dns', /host name/],
  ];
  for (const [url, status, code, says, timeout = null] of cases) {
    const webhookId = await posthorn.ingest(await subscribeAs(posthorn, { url, timeout }));
    const { attempts } = await delivery(posthorn, webhookId, (one) => one.attempts.length === 1);
    t.match(attempts[0], { status, error_code: code, error: says, response_code: null }, url);
  }
});

t.test(
  'a forbidden address is never called, recorded as blocked and not tried again',
  async (t) => {
    const receiver = await startReceiver(t);
    const { port } = new URL(receiver.url);
    // Accepted when it was created, forbidden since: the address is judged when it is connected to.
    const permissive = await startTestService(t);
    const literal = await permissive.subscribe(receiver.url);
    const named = await permissive.subscribe(`http://localhost:${port}/`);
    const { databaseUrl } = permissive;
    await permissive.service.stop();
    const posthorn = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_ALLOW_NETWORKS: '',
    });
    for (const id of [literal, named]) {
      const webhookId = await posthorn.ingest(id);
      t.match(await delivery(posthorn, webhookId), {
        state: 'failed',
        attempts: [{ status: 'blocked', error_code: 'blocked', error: /loopback address/ }],
      });
    }
    t.equal(receiver.received.length, 0);
  },
);

t.test('one dead receiver does not hold up the others', async (t) => {
  const silent = await startReceiver(t, () => {});
  const good = await startReceiver(t);
  const posthorn = await startTestService(t, {
    POSTHORN_RETRY_SCHEDULE: '1h',
    POSTHORN_DELIVERY_TIMEOUT: '30s',
  });
  const [dead, alive] = [await posthorn.subscribe(silent.url), await posthorn.subscribe(good.url)];
  await Promise.all(
    Array.from({ length: 200 }, (_, n) => posthorn.ingest(n % 2 === 0 ? dead : alive, { n })),
  );
  await good.waitFor(100);
});

t.test('a large body is delivered whole', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '8MiB' });
  const id = await posthorn.subscribe(receiver.url);
  const body = JSON.stringify({ large: 'é'.repeat(3_000_000) });
  await posthorn.ingest(id, body);
  const [request] = await receiver.waitFor(1);
  t.ok(request?.body.equals(Buffer.from(body)));
});

t.test('a subscription that SQL made wrong fails visibly and harms no other', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const [wrong, right] = [
    await posthorn.subscribe(receiver.url),
    await posthorn.subscribe(receiver.url),
  ];
  const client = await connect(t, posthorn.databaseUrl);
  const webhookId = await posthorn.ingest(wrong);
  await delivery(posthorn, webhookId);
  await client.query(`update posthorn.subscriptions set secret = 'whsec_c2hvcnQ=' where id = $1`, [
    wrong,
  ]);
  await until('it is refused with the reason', async () => {
    const { status, json } = await posthorn.request('POST', `/ingest/${wrong}`, {});
    return status === 503 && /24 to 64/.test(json.detail);
  });
  await client.query(
    `update posthorn.deliveries set state = 'pending', attempt_count = 1 where webhook_id = $1`,
    [webhookId],
  );
  await client.query(
    `select from graphile_worker.add_job('deliver', json_build_object('attempt', 2, 'bytes', 2,
       'webhooks', json_build_array($1::uuid), 'subscriptions', json_build_array($2::integer)))`,
    [webhookId, wrong],
  );
  const { attempts } = await delivery(posthorn, webhookId, (one) => one.attempts.length === 2);
  t.match(attempts[1], { status: 'failed', error_code: 'subscription', error: /24 to 64/ });
  await posthorn.ingest(right);
  await receiver.waitFor(2);
});
