import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

async function subscribe({ request }: TestService, fields: object): Promise<number> {
  const { status, json, text } = await request('POST', '/v1/subscriptions', fields);
  if (status !== 201) throw new Error(`${status} ${text}`);
  return json.id;
}

/** The only delivery of a webhook, with its attempts, once it has ended. */
async function ended({ request }: TestService, webhookId: string) {
  return await until('the delivery has ended', async () => {
    const { json } = await request('GET', `/v1/webhooks/${webhookId}`);
    const [delivery] = json.deliveries;
    return delivery.ended_at !== null && delivery;
  });
}

t.test('a subscription has its own retry schedule', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const url = receiver.url;
  const quick = await subscribe(posthorn, { url, retry_schedule: '50ms,50ms,50ms,50ms' });
  const once = await subscribe(posthorn, { url, retry_schedule: 'exponential(attempts=1)' });
  const [tried, notAgain] = [await posthorn.ingest(quick), await posthorn.ingest(once)];
  t.match(await ended(posthorn, tried), { state: 'failed', attempts_made: 5, reason: null });
  t.match(await ended(posthorn, notAgain), { state: 'failed', attempts_made: 1 });
});

t.test('a subscription has its own time limit, shorter or longer than the setting', async (t) => {
  const hung = await startReceiver(t, () => {});
  const slow = await startReceiver(t, (response) => {
    setTimeout(() => response.end('ok'), 3_000);
  });
  const posthorn = await startTestService(t, { POSTHORN_DELIVERY_TIMEOUT: '2s' });
  const retry_schedule = 'exponential(attempts=1)';
  const impatient = await subscribe(posthorn, { url: hung.url, timeout: '150ms', retry_schedule });
  const patient = await subscribe(posthorn, { url: slow.url, timeout: '20s', retry_schedule });
  const other = await subscribe(posthorn, { url: slow.url, retry_schedule });
  const ids = [impatient, patient, other].map((id) => posthorn.ingest(id));
  const [gaveUp, waited, cutOff] = await Promise.all(
    (await Promise.all(ids)).map((id) => ended(posthorn, id)),
  );
  t.match(gaveUp.attempts[0], {
    error_code: 'timeout_response',
    error: 'The receiver did not answer in full within 150ms.',
  });
  t.ok(gaveUp.attempts[0].duration_ms < 1_900, `${gaveUp.attempts[0].duration_ms} ms`);
  t.match(waited, { state: 'succeeded', attempts_made: 1 });
  t.match(cutOff.attempts[0], { error: 'The receiver did not answer in full within 2s.' });
});

t.test("a subscription's headers are sent with every delivery", async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const headers = { 'X-Environment': 'staging', Authorization: 'Bearer of news' };
  const id = await subscribe(posthorn, { url: receiver.url, headers });
  await posthorn.ingest(id);
  const [first] = await receiver.waitFor(1);
  t.match(first?.headers, {
    'x-environment': 'staging',
    authorization: 'Bearer of news',
    'content-type': 'application/json',
    'user-agent': /^Posthorn/,
    'webhook-id': String,
  });
  const change = { headers: { 'user-agent': 'Example/2' } };
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, change);
  await until('the change is known', async () => {
    await posthorn.ingest(id);
    const last = receiver.received.at(-1);
    return last?.headers['user-agent'] === 'Example/2' && !('x-environment' in last.headers);
  });
});

t.test('forbidden headers that are already stored are not sent', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await subscribe(posthorn, { url: receiver.url });
  const client = await connect(t, posthorn.databaseUrl);
  const stored = {
    'X-Environment': 'staging',
    Content_Length: '3',
    'Transfer-Encoding': 'chunked',
    x_forwarded_for: '127.0.0.1',
    'X-Line': 'one\r\nx-two: 2',
    'X-Number': 1,
    'x two': '2',
  };
  await client.query('update posthorn.subscriptions set headers = $1 where id = $2', [stored, id]);
  await until('the headers are known', async () => {
    await posthorn.ingest(id);
    return receiver.received.at(-1)?.headers['x-environment'] === 'staging';
  });
  const { headers } = receiver.received.at(-1) as { headers: Record<string, unknown> };
  t.match(headers, { 'content-length': /^\d\d$/, 'webhook-id': String });
  for (const name of [
    ...['content_length', 'transfer-encoding', 'x_forwarded_for', 'x-line', 'x-two'],
    ...['x-number', 'x two'],
  ])
    t.notOk(name in headers, name);
});
