import t from 'tap';
import { createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const deliveries = async ({ request }: TestService, state: string) =>
  (await request('GET', `/v1/deliveries?state=${state}`)).json.data;

t.test('webhooks for a paused subscription are held until it is resumed', async (t) => {
  const receiver = await startReceiver(t);
  // Two processes: the one that takes the request is not always the one that sends.
  const databaseUrl = await createTestDatabase(t);
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl });
  const other = await startTestService(t, { DATABASE_URL: databaseUrl });
  const id = await posthorn.subscribe(receiver.url);
  await posthorn.ingest(id, { n: 0 });
  await receiver.waitFor(1);
  const path = `/v1/subscriptions/${id}`;
  const paused = await other.request('POST', `${path}/pause`, { reason: 'maintenance' });
  t.match(paused, { status: 200, json: { id, status: 'paused', status_reason: 'maintenance' } });
  for (let n = 1; n <= 20; n++) await [posthorn, other][n % 2]?.ingest(id, { n });
  await until('all are held', async () => (await deliveries(posthorn, 'held')).length === 20);
  t.equal(receiver.received.length, 1, 'and none was sent');
  const again = await posthorn.request('POST', `${path}/pause`);
  t.match(again, { status: 200, json: { status: 'paused', status_reason: 'maintenance' } });

  const resumed = await other.request('POST', `${path}/resume`);
  t.match(resumed, { status: 200, json: { status: 'active', status_reason: null } });
  const before = Date.now();
  const [, first] = await receiver.waitFor(2);
  t.ok((first?.at as number) - before < TOLD_MS, `${(first?.at as number) - before} ms`);
  await until('all have succeeded', async () => {
    return (await deliveries(posthorn, 'succeeded')).length === 21;
  });
  t.equal(receiver.received.length, 21, 'each once');
  t.match(await other.request('POST', `${path}/resume`), {
    status: 200,
    json: { status: 'active' },
  });
});

t.test(
  'a pause does not stop requests in flight, and retries wait until it is resumed',
  async (t) => {
    const answers: ((status: number) => void)[] = [];
    const receiver = await startReceiver(t, (response) => {
      answers.push((status) => {
        response.statusCode = status;
        response.end();
      });
    });
    const posthorn = await startTestService(t);
    const id = await posthorn.subscribe(receiver.url);
    await posthorn.ingest(id, { n: 1 });
    await posthorn.ingest(id, { n: 2 });
    await receiver.waitFor(2);
    await posthorn.request('POST', `/v1/subscriptions/${id}/pause`);
    for (const [n, answer] of answers.entries()) answer(n === 0 ? 200 : 500);
    await until('one has succeeded', async () => {
      return (await deliveries(posthorn, 'succeeded')).length === 1;
    });
    await until('the other one is held for its retry', async () => {
      const [held] = await deliveries(posthorn, 'held');
      return held?.attempts_made === 1;
    });
    t.equal(receiver.received.length, 2);
    await posthorn.request('POST', `/v1/subscriptions/${id}/resume`);
    await receiver.waitFor(3);
    answers[2]?.(200);
    await until('both have succeeded', async () => {
      return (await deliveries(posthorn, 'succeeded')).length === 2;
    });
  },
);

t.test('pausing an unknown or disabled subscription is refused with the reason', async (t) => {
  const posthorn = await startTestService(t);
  t.match(await posthorn.request('POST', '/v1/subscriptions/7/pause'), {
    status: 404,
    json: { detail: 'There is no subscription 7.' },
  });
  t.match(await posthorn.request('POST', '/v1/subscriptions/7/resume'), { status: 404 });
  const id = await posthorn.subscribe('https://example.com/webhooks');
  t.match(await posthorn.request('POST', `/v1/subscriptions/${id}/pause`, { reason: 7 }), {
    status: 400,
    json: { errors: [{ field: 'body.reason' }] },
  });
});
