import t from 'tap';
import { healthOf } from '../helpers/health.ts';
import {
  AT_MOST,
  type Attack,
  breakOff,
  end,
  pour,
  say,
  startHostile,
} from '../helpers/hostile.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;
const WEBHOOKS = 40;

/** The only delivery of a webhook, once it has ended or waits for its next attempt. */
async function deliveryOf(posthorn: TestService, webhookId: string, attempts = 1) {
  return await until(`webhook ${webhookId} has had ${attempts} attempts`, async () => {
    const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
    const [delivery] = json.deliveries;
    return delivery.attempts.length >= attempts && delivery;
  });
}

const cut: [name: string, attack: Attack][] = [
  ['is shorter than its length', end(`${OK}Content-Length: 10\r\n\r\nok`)],
  ['is reset', breakOff(`${OK}Content-Length: 10\r\n\r\nok`)],
  ['is in chunks without the last one', end(`${CHUNKED}2\r\nok\r\n`)],
  ['is in chunks that are none', say(`${CHUNKED}2\r\nok\r\nzz\r\n`)],
  ['has no length on a connection left open', say(`${OK}\r\nok`)],
  ['has no end', pour(`${OK}\r\n`, 'ok'.repeat(32 * 1024))],
];

t.test('an answer with 200 is a success, even if its body', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_DELIVERY_TIMEOUT: '2s' });
  for (const [name, attack] of cut) {
    t.test(name, AT_MOST, async (t) => {
      const receiver = await startHostile(t, attack);
      const id = await posthorn.subscribe(`http://${receiver.authority}/`);
      const webhooks = await Promise.all(
        Array.from({ length: WEBHOOKS }, () => posthorn.ingest(id)),
      );
      for (const webhookId of webhooks) {
        const { state, attempts } = await deliveryOf(posthorn, webhookId);
        const [{ status, response_code, error_code, error }] = attempts;
        if (state !== 'succeeded' || attempts.length !== 1 || status !== 'success')
          t.fail(`${webhookId}: ${state}, ${JSON.stringify(attempts)}`);
        t.match(
          { response_code, error_code },
          { response_code: 200, error_code: 'answer_cut_off' },
        );
        t.match(error, /^The receiver answered 200 OK; .*\.$/);
      }
      t.equal(receiver.sockets.length, WEBHOOKS, 'each was sent once, on a connection of its own');
      t.equal((await healthOf(posthorn, id)).circuit.state, 'closed');
    });
  }
});

t.test('a 410 that is cut short ends its delivery and disables the subscription', async (t) => {
  const posthorn = await startTestService(t);
  const receiver = await startHostile(t, end('HTTP/1.1 410 Gone\r\nContent-Length: 10\r\n\r\nno'));
  const id = await posthorn.subscribe(`http://${receiver.authority}/`);
  const { state, attempts } = await deliveryOf(posthorn, await posthorn.ingest(id));
  t.match([state, attempts.length], ['failed', 1]);
  t.match(attempts[0], { response_code: 410, error_code: 'gone' });
  await until('it is disabled', async () => {
    const { json } = await posthorn.request('GET', `/v1/subscriptions/${id}`);
    return json.status === 'disabled';
  });
});

t.test('a 429 or 503 that is cut short keeps its Retry-After', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '100ms,1h' });
  for (const [status, attack] of [
    [429, end('HTTP/1.1 429 No\r\nRetry-After: 600\r\nContent-Length: 10\r\n\r\nlater')],
    [503, breakOff('HTTP/1.1 503 No\r\nRetry-After: 600\r\nContent-Length: 10\r\n\r\nlater')],
  ] as const) {
    const receiver = await startHostile(t, attack);
    const id = await posthorn.subscribe(`http://${receiver.authority}/`);
    const webhookId = await posthorn.ingest(id);
    const { attempts, next_attempt_at } = await deliveryOf(posthorn, webhookId);
    t.match(attempts[0], { response_code: status, error_code: 'http_status' });
    const waitMs = Date.parse(next_attempt_at) - Date.now();
    // Without it, it would be tried again after 100 ms.
    t.ok(waitMs > 300_000, `${status}: ${waitMs} ms`);
    t.equal(receiver.sockets.length, 1);
  }
});
