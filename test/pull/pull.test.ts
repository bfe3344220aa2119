// Subscriptions without a URL, whose receivers pull, through the API.

import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

interface Pulled {
  readonly token: string;
  readonly webhook_id: string;
  readonly attempt_number: number;
  readonly event_type: string | null;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly encoding: string;
}

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

async function subscribe(posthorn: TestService, fields: object = {}): Promise<number> {
  const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
    url: null,
    ...fields,
  });
  if (status !== 201) throw new Error(text);
  return json.id;
}

async function send(posthorn: TestService, webhook: object): Promise<string> {
  const { status, json, text } = await posthorn.request('POST', '/v1/webhooks', webhook);
  if (status !== 202) throw new Error(text);
  return json.webhook_id;
}

async function pull(posthorn: TestService, id: number, query = 'wait=10s'): Promise<Pulled[]> {
  const { status, json, text } = await posthorn.request(
    'GET',
    `/v1/subscriptions/${id}/pull?${query}`,
  );
  if (status !== 200) throw new Error(`${status} ${text}`);
  return json.deliveries;
}

const acknowledge = (posthorn: TestService, id: number, results: readonly object[]) =>
  posthorn.request('POST', `/v1/subscriptions/${id}/acknowledge`, { results });

async function attemptsOf(posthorn: TestService, webhookId: string) {
  const { json } = await posthorn.request('GET', `/v1/attempts?webhook_id=${webhookId}`);
  return json.data.toReversed();
}

async function stateOf(posthorn: TestService, webhookId: string): Promise<string> {
  const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
  return json.deliveries[0].state;
}

t.test('a receiver pulls, acknowledges, and sees that it is recorded', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '200ms,200ms' });
  const client = await connect(t, posthorn.databaseUrl);

  await t.test('what it pulls is signed as a request would be', async (t) => {
    const fields = { secret: SECRET, headers: { 'X-Mine': 'yes' }, event_types: ['sign.ed'] };
    const id = await subscribe(posthorn, fields);
    const webhookId = await send(posthorn, { event_type: 'sign.ed', data: { order: 7 } });
    const [delivery] = await pull(posthorn, id);
    t.match(delivery, {
      webhook_id: webhookId,
      event_type: 'sign.ed',
      attempt_number: 1,
      encoding: 'utf-8',
      headers: { 'content-type': 'application/json', 'webhook-id': webhookId, 'x-mine': 'yes' },
    });
    const { headers, body, token } = delivery as Pulled;
    t.match(new Webhook(SECRET).verify(body, headers), { type: 'sign.ed', data: { order: 7 } });
    t.equal(await stateOf(posthorn, webhookId), 'held');

    const result = { token, result: 'delivered', response_code: 204, response_excerpt: 'thanks' };
    t.match(await acknowledge(posthorn, id, [result]), {
      status: 200,
      json: { recorded: 1, ended: [] },
    });
    t.equal(await stateOf(posthorn, webhookId), 'succeeded');
    t.match(await attemptsOf(posthorn, webhookId), [
      { attempt_number: 1, status: 'success', response_code: 204, error: null },
    ]);
    t.match(
      (await acknowledge(posthorn, id, [result])).json,
      { recorded: 1, ended: [] },
      'again, after a lost answer',
    );
    t.equal((await attemptsOf(posthorn, webhookId)).length, 1);
    t.strictSame(await pull(posthorn, id, 'wait=0s'), []);
  });

  await t.test('what is not UTF-8 comes in base64, byte for byte', async (t) => {
    const id = await subscribe(posthorn, { ingest_content_types: ['image/png'] });
    const bytes = Buffer.from([0x89, 0x50, 0xff, 0x00, 0x0a]);
    await posthorn.request('POST', `/ingest/${id}`, bytes, { 'content-type': 'image/png' });
    const [delivery] = await pull(posthorn, id);
    t.equal(delivery?.encoding, 'base64');
    t.strictSame(Buffer.from(delivery?.body ?? '', 'base64'), bytes);
  });

  await t.test('a request waits, and is answered as soon as something is there', async (t) => {
    const id = await subscribe(posthorn);
    const waiting = pull(posthorn, id, 'wait=60s');
    const webhookId = await posthorn.ingest(id);
    t.equal((await waiting)[0]?.webhook_id, webhookId);
    const startedAt = Date.now();
    t.strictSame(await pull(posthorn, id, 'wait=100ms'), [], 'what is leased is not handed out');
    t.ok(Date.now() - startedAt < 30_000);
  });

  await t.test(
    'a failure is retried by the schedule, and the last one fails the delivery',
    async (t) => {
      const id = await subscribe(posthorn);
      const webhookId = await posthorn.ingest(id);
      for (const attempt of [1, 2, 3]) {
        const [delivery] = await pull(posthorn, id, 'wait=60s');
        t.equal(delivery?.attempt_number, attempt);
        await acknowledge(posthorn, id, [
          { token: delivery?.token, result: 'failed', error: 'the disk is full' },
        ]);
      }
      t.equal(await stateOf(posthorn, webhookId), 'failed');
      t.match(await attemptsOf(posthorn, webhookId), [
        {
          attempt_number: 1,
          status: 'failed',
          error_code: 'pull_failed',
          error: 'the disk is full',
        },
        { attempt_number: 2 },
        { attempt_number: 3 },
      ]);
      const { json } = await posthorn.request('GET', `/v1/subscriptions/${id}/health`);
      t.equal(json.circuit.state ?? json.circuit, 'closed', 'its circuit stays closed');
    },
  );

  await t.test('a delivery that is released comes again, and no attempt counts', async (t) => {
    const id = await subscribe(posthorn);
    const webhookId = await posthorn.ingest(id);
    const [first] = await pull(posthorn, id);
    const waiting = pull(posthorn, id, 'wait=60s');
    await acknowledge(posthorn, id, [{ token: first?.token, result: 'released' }]);
    const [again] = await waiting;
    t.match(again, { webhook_id: webhookId, attempt_number: 1 });
    t.match(
      (await acknowledge(posthorn, id, [{ token: first?.token, result: 'delivered' }])).json,
      { recorded: 0, ended: [first?.token] },
      'the first lease has ended',
    );
    await acknowledge(posthorn, id, [{ token: again?.token, result: 'delivered' }]);
    t.equal((await attemptsOf(posthorn, webhookId)).length, 1);
  });

  await t.test('a lease that ends counts as an attempt that timed out', async (t) => {
    const id = await subscribe(posthorn, { ordering: 'strict' });
    const webhookId = await posthorn.ingest(id);
    const [first] = await pull(posthorn, id, 'lease=1s');
    const [second] = await pull(posthorn, id, 'wait=60s');
    t.match(second, { webhook_id: webhookId, attempt_number: 2 });
    t.match(await attemptsOf(posthorn, webhookId), [
      { attempt_number: 1, status: 'timeout', error_code: 'lease_ended', duration_ms: 1000 },
    ]);
    const late = await acknowledge(posthorn, id, [{ token: first?.token, result: 'delivered' }]);
    t.match(late.json, { recorded: 0, ended: [first?.token] });
    t.equal(await stateOf(posthorn, webhookId), 'held');
  });

  await t.test('strict order: of each key one at a time, the oldest first', async (t) => {
    const id = await subscribe(posthorn, { ordering: 'strict', event_types: ['strict.one'] });
    for (const [key, n] of [
      ['a', 1],
      ['a', 2],
      ['b', 3],
      ['a', 4],
      ['b', 5],
    ] as const)
      await send(posthorn, { event_type: 'strict.one', data: { n }, ordering_key: key });
    const numbers = (found: Pulled[]) => found.map(({ body }) => JSON.parse(body).data.n);
    const first = await pull(posthorn, id);
    t.strictSame(numbers(first), [1, 3]);
    t.strictSame(await pull(posthorn, id, 'wait=0s'), []);
    await acknowledge(posthorn, id, [{ token: first[1]?.token, result: 'delivered' }]);
    const next = await pull(posthorn, id);
    t.strictSame(numbers(next), [5]);
    await acknowledge(posthorn, id, [{ token: first[0]?.token, result: 'failed' }]);
    const retried = await pull(posthorn, id, 'wait=60s');
    t.strictSame(numbers(retried), [1], 'its retry goes first');
    await acknowledge(posthorn, id, [{ token: retried[0]?.token, result: 'delivered' }]);
    t.strictSame(numbers(await pull(posthorn, id)), [2]);
  });

  await t.test('max_in_flight, the rate limit and a pause hold', async (t) => {
    const narrow = await subscribe(posthorn, { max_in_flight: 2 });
    for (let n = 0; n < 3; n++) await posthorn.ingest(narrow);
    const two = await pull(posthorn, narrow);
    t.equal(two.length, 2);
    const waiting = pull(posthorn, narrow, 'wait=60s');
    await acknowledge(posthorn, narrow, [{ token: two[0]?.token, result: 'delivered' }]);
    t.equal((await waiting).length, 1);

    const slow = await subscribe(posthorn, { rate_limit: { limit: 20, per: '10s' } });
    for (let n = 0; n < 6; n++) await posthorn.ingest(slow);
    const startedAt = Date.now();
    t.equal((await pull(posthorn, slow)).length, 1, 'it begins without a burst');
    const more = await pull(posthorn, slow, 'wait=60s');
    t.ok(more.length <= 2);
    t.ok(Date.now() - startedAt > 300, 'half a second each');

    const paused = await subscribe(posthorn);
    await posthorn.ingest(paused);
    await posthorn.request('POST', `/v1/subscriptions/${paused}/pause`, {});
    t.strictSame(await pull(posthorn, paused, 'wait=0s'), []);
    const resumed = pull(posthorn, paused, 'wait=60s');
    await posthorn.request('POST', `/v1/subscriptions/${paused}/resume`);
    t.equal((await resumed).length, 1);
  });

  await t.test('cancelling, retrying and scheduling work as for others', async (t) => {
    const id = await subscribe(posthorn, { event_types: ['later.one'] });
    const cancelled = await posthorn.ingest(id);
    const [leased] = await pull(posthorn, id);
    await posthorn.request('POST', `/v1/webhooks/${cancelled}/cancel`);
    await acknowledge(posthorn, id, [{ token: leased?.token, result: 'delivered' }]);
    t.equal(await stateOf(posthorn, cancelled), 'cancelled');
    t.equal((await attemptsOf(posthorn, cancelled)).length, 1, 'the attempt counts');
    const waiting = pull(posthorn, id, 'wait=60s');
    await posthorn.request('POST', `/v1/deliveries/${cancelled}.${id}/retry`);
    const [again] = await waiting;
    t.match(again, { webhook_id: cancelled, attempt_number: 2 });
    await acknowledge(posthorn, id, [{ token: again?.token, result: 'delivered' }]);
    t.equal(await stateOf(posthorn, cancelled), 'succeeded');

    const scheduled = await send(posthorn, {
      event_type: 'later.one',
      data: {},
      deliver_at: new Date(Date.now() + 1_500).toISOString(),
    });
    t.strictSame(await pull(posthorn, id, 'wait=0s'), []);
    t.equal((await pull(posthorn, id, 'wait=60s'))[0]?.webhook_id, scheduled);
  });

  await t.test('nothing is sent, and no worker owns the backlog', async (t) => {
    const { rows } = await client.query(
      `select count(*)::integer as owned from posthorn.backlogs b
       join posthorn.subscriptions s on s.id = b.subscription_id
       where s.url is null and b.owner is not null`,
    );
    t.equal(rows[0].owned, 0);
  });

  await t.test('what cannot be done is refused with what would be right', async (t) => {
    const id = await subscribe(posthorn);
    const pushed = await posthorn.subscribe('http://127.0.0.1:9/');
    const refusals = [
      ['GET', `/v1/subscriptions/${pushed}/pull`, undefined, 409, /has a URL/],
      ['GET', '/v1/subscriptions/999999/pull', undefined, 404, /no subscription 999999/],
      [
        'GET',
        `/v1/subscriptions/${id}/pull?wait=2m`,
        undefined,
        400,
        /query.wait is 2m; it must be 0s to 1m/,
      ],
      ['GET', `/v1/subscriptions/${id}/pull?lease=x`, undefined, 400, /query.lease cannot be used/],
      ['GET', `/v1/subscriptions/${id}/pull?batch=101`, undefined, 400, /query.batch/],
      [
        'POST',
        `/v1/subscriptions/${id}/acknowledge`,
        { results: [{ token: 'x', result: 'delivered' }] },
        400,
        /results\[0\].token is not a token/,
      ],
      ['POST', `/v1/subscriptions/${id}/test`, {}, 409, /no URL to send to/],
      [
        'PATCH',
        `/v1/subscriptions/${id}`,
        { url: 'http://127.0.0.1:9/' },
        400,
        /body.url cannot be given/,
      ],
      [
        'PATCH',
        `/v1/subscriptions/${pushed}`,
        { expire_after: '5m' },
        400,
        /body.expire_after is only for/,
      ],
      [
        'POST',
        '/v1/subscriptions',
        { url: 'http://127.0.0.1:9/', expire_after: '5m' },
        400,
        /body.expire_after is only for/,
      ],
      ['POST', '/v1/subscriptions', { url: null, expire_after: '1s' }, 400, /outside 2m to 365d/],
    ] as const;
    for (const [method, path, body, status, detail] of refusals) {
      const reply = await posthorn.request(method, path, body);
      t.equal(reply.status, status, `${method} ${path}`);
      t.match(reply.json.detail, detail);
    }
  });
});
