import fc from 'fast-check';
import t, { type Test } from 'tap';
import { type Cli, startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createOrderJudge, type Numbered } from '../helpers/order.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ATTEMPTS = 3;
/** An attempt that times out has ended for us, while its receiver may still be at it. */
const SETTINGS = { POSTHORN_RETRY_SCHEDULE: '30ms,60ms', POSTHORN_DELIVERY_TIMEOUT: '30s' };

async function subscribe({ request }: TestService, url: string): Promise<number> {
  const { json } = await request('POST', '/v1/subscriptions', {
    url,
    event_types: [],
    ordering: 'strict',
  });
  return json.id;
}

async function send(to: TestService, id: number, { key, ...rest }: Numbered): Promise<void> {
  const { status, text } = await to.request('POST', '/v1/webhooks', {
    event_type: 'order.changed',
    subscription_id: id,
    raw: true,
    data: { key, ...rest },
    ...(key === null ? {} : { ordering_key: key }),
  });
  if (status !== 202) throw new Error(`${status} ${text}`);
}

t.test(
  'no receiver sees a webhook before the one before it, of the same key, has ended',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const settings = { ...SETTINGS, DATABASE_URL: databaseUrl };
    const api = await startTestService(t, settings);
    const other = await startTestService(t, settings);
    /** Workers that come and go: by SIGKILL, in the middle of their requests. */
    let doomed: Cli | undefined;
    const startDoomed = async (t: Test) => {
      doomed = await startCli(t, ['start'], { ...settings, POSTHORN_ROLE: 'worker' });
      await doomed.url();
    };
    await startDoomed(t);

    const webhook = fc.record({
      key: fc.constantFrom(null, 'a', 'b', 'c'),
      failures: fc.constantFrom(0, 0, 0, 1, 2, ATTEMPTS),
    });
    const plan = fc.record({
      webhooks: fc.array(webhook, { minLength: 20, maxLength: 40 }),
      delayMs: fc.constantFrom(0, 5, 20),
      /** After which of the webhooks something happens, and what. */
      faults: fc.array(
        fc.record({ after: fc.nat(39), what: fc.constantFrom('kill', 'pause', 'patch') }),
        { maxLength: 2 },
      ),
    });
    await fc.assert(
      fc.asyncProperty(plan, async ({ webhooks, delayMs, faults }) => {
        const judge = createOrderJudge(ATTEMPTS, () => delayMs * Math.random());
        const receiver = await startReceiver(t, judge.answer);
        const id = await subscribe(api, receiver.url);
        for (const [n, given] of webhooks.entries()) {
          await send(n % 2 === 0 ? api : other, id, { n, ...given });
          for (const { what } of faults.filter(({ after }) => after === n)) {
            if (what === 'kill') {
              doomed?.kill('SIGKILL');
              await doomed?.exited;
            } else if (what === 'pause') {
              await other.request('POST', `/v1/subscriptions/${id}/pause`);
              await api.request('POST', `/v1/subscriptions/${id}/resume`);
            } else {
              const rate = { limit: 2_000, per: '1s' };
              await other.request('PATCH', `/v1/subscriptions/${id}`, { rate_limit: rate });
            }
          }
        }
        await until('all have ended', () => judge.ended === webhooks.length);
        await receiver.close();
        if (doomed?.child.signalCode != null) await startDoomed(t);
        if (judge.violations.length > 0) throw new Error(judge.violations.join('; '));
      }),
      { numRuns: 5, endOnFailure: true },
    );
  },
);

t.test('one that fails holds back those of its key, and no others', async (t) => {
  const judge = createOrderJudge(1_000, () => 0);
  const receiver = await startReceiver(t, judge.answer);
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const id = await subscribe(posthorn, receiver.url);
  const keys = Array.from({ length: 30 }, (_, n) => `key ${n}`);
  for (const [n, key] of ['blocked', ...keys, 'blocked', ...keys].entries())
    await send(posthorn, id, { n, key, failures: key === 'blocked' ? 1_000 : 0 });
  await until('all others have ended', () => judge.ended === 60);
  t.strictSame(judge.violations, []);
  // An answer is recorded after it came, and the delivery is held until then.
  const held = await until('all is recorded', async () => {
    const { json } = await posthorn.request('GET', '/v1/deliveries?state=held');
    const isTried = json.data.some((one: { attempts_made: number }) => one.attempts_made > 0);
    return json.data.length <= 2 && isTried && json.data;
  });
  t.strictSame(
    held.map((one: { attempts_made: number }) => one.attempts_made),
    [0, 1],
    'the one that failed is held for its retry, and the one behind it',
  );
});

t.test('the order goes on after the death of who kept it, with the one it had begun', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    if (nth > 3) response.end();
  });
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const doomed = await startCli(t, ['start'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_ROLE: 'worker',
  });
  await doomed.url();
  const id = await subscribe(api, receiver.url);
  for (let n = 0; n < 9; n++)
    await send(api, id, { n, key: ['a', 'b', 'c'][n % 3] as string, failures: 0 });
  await receiver.waitFor(3);
  doomed.kill('SIGKILL');
  await doomed.exited;
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  const numbers = (await receiver.waitFor(12)).map(({ body }) => JSON.parse(body.toString()).n);
  t.strictSame(numbers.slice(0, 3).sort(), [0, 1, 2], 'one of each key was under way');
  for (const key of [0, 1, 2])
    t.strictSame(
      numbers.slice(3).filter((n) => n % 3 === key),
      [key, key + 3, key + 6],
    );
});

t.test('one that is cancelled while it waits for its retry holds up nobody any more', async (t) => {
  const judge = createOrderJudge(1_000, () => 0);
  const receiver = await startReceiver(t, judge.answer);
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const id = await subscribe(posthorn, receiver.url);
  await send(posthorn, id, { n: 0, key: null, failures: 1_000 });
  await until('it waits for its retry', async () => {
    const [held] = (await posthorn.request('GET', '/v1/deliveries?state=held')).json.data;
    return held?.attempts_made === 1;
  });
  await send(posthorn, id, { n: 1, key: null, failures: 0 });
  const [behind] = (await posthorn.request('GET', '/v1/deliveries?state=held')).json.data;
  const { accepted_at } = (await posthorn.request('GET', `/v1/webhooks/${behind.webhook_id}`)).json;
  const { status } = await posthorn.request('POST', '/v1/deliveries/cancel', {
    subscription_id: id,
    until: accepted_at,
  });
  t.equal(status, 202);
  const [, second] = await receiver.waitFor(2, 10_000);
  t.equal(JSON.parse(String(second?.body)).n, 1);
});

t.test('however many keys are blocked, others are sent, and these when they are due', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  const id = await subscribe(api, receiver.url);
  await api.request('POST', `/v1/subscriptions/${id}/pause`);
  const client = await connect(t, databaseUrl);
  // As their receiver left them: of each key one has failed.
  await client.query(
    `with ids as materialized (select posthorn.uuidv7() as id, n from generate_series(1, 12000) n),
     payloads as (
       insert into posthorn.webhook_payloads (id, content_type, body, ordering_key)
       select id, 'application/json', convert_to('{"n":' || n || '}', 'UTF8'), 'key ' || n from ids
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, state, queued, attempt_count, next_attempt_at)
     select id, $1, 'held', false, 1, now() + interval '1 hour' from ids`,
    [id],
  );
  // Nothing of these keys may go before.
  for (const n of [5, 11_990]) await send(api, id, { n: -n, key: `key ${n}`, failures: 0 });
  await send(api, id, { n: 0, key: 'free', failures: 0 });
  // The last ones are due soon. On a busy machine a worker takes seconds to start, and must be there before.
  await client.query(
    `update posthorn.deliveries set next_attempt_at = now() + interval '5 s'
     where attempt_count = 1 and webhook_id = any(array(
       select id from posthorn.webhook_payloads
       where ordering_key = any(array(select 'key ' || n from generate_series(11981, 12000) n))))`,
  );
  await api.request('POST', `/v1/subscriptions/${id}/resume`);
  await until('those that are due have come', () => receiver.received.length === 22);
  const numbers = receiver.received.map(({ body }) => JSON.parse(body.toString()).n);
  t.equal(numbers[0], 0);
  t.ok(numbers.indexOf(-11_990) > numbers.indexOf(11_990));
  t.strictSame(
    numbers.filter((n) => n > 0).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, n) => 11_981 + n),
  );
});
