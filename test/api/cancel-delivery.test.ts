import t from 'tap';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

let answer = () => {};
const receiver = await startReceiver(t, (response, { path }) => {
  if (path === '/slow') answer = () => response.end();
  else response.end();
});
const posthorn = await startTestService(t);
const TOMORROW = new Date(Date.now() + 86_400_000).toISOString();

const cancel = (id: string) => posthorn.request('POST', `/v1/deliveries/${id}/cancel`);
const deliveryOf = async (id: string) =>
  (await posthorn.request('GET', `/v1/deliveries/${id}`)).json;

t.test('one delivery of a webhook is cancelled, and the others go on', async (t) => {
  const event_type = 'two.receivers';
  const ids = [];
  for (const path of ['/a', '/b']) {
    const { json } = await posthorn.request('POST', '/v1/subscriptions', {
      url: `${receiver.url}${path}`,
      event_types: [event_type],
    });
    ids.push(json.id);
  }
  const sent = await posthorn.request('POST', '/v1/webhooks', {
    event_type,
    data: {},
    deliver_at: TOMORROW,
  });
  const [first, second] = ids.map((id) => `${sent.json.webhook_id}.${id}`) as [string, string];
  const cancelled = await posthorn.request('POST', (await deliveryOf(first)).links.cancel);
  t.match(cancelled, {
    status: 200,
    json: { id: first, state: 'cancelled', next_attempt_at: null, request_may_be_open: false },
  });
  t.match(await deliveryOf(second), { state: 'pending' });
  const again = await cancel(first);
  t.match(again, { status: 200, json: { state: 'cancelled', ended_at: cancelled.json.ended_at } });

  await posthorn.request('POST', `/v1/deliveries/${second}/retry`);
  await until(
    'the other is delivered',
    async () => (await deliveryOf(second)).state === 'succeeded',
  );
  t.match(await cancel(second), { status: 409, json: { type: /conflict/ } });
  t.match(await deliveryOf(second), { state: 'succeeded' });
  t.equal((await cancel(`${sent.json.webhook_id}.999`)).status, 404);
  await posthorn.request('POST', '/v1/tenants', { id: 'other' });
  const foreign = await posthorn.request('POST', `/v1/deliveries/${first}/cancel?tenant=other`);
  t.equal(foreign.status, 404, 'to another tenant it does not exist');
});

t.test(
  'a request that is open is not aborted: it is recorded, and the delivery stays cancelled',
  async (t) => {
    const subscription = await posthorn.subscribe(`${receiver.url}/slow`);
    const id = `${await posthorn.ingest(subscription)}.${subscription}`;
    await until('the request is open', () =>
      receiver.received.some(({ path }) => path === '/slow'),
    );
    t.match((await cancel(id)).json, { state: 'cancelled', request_may_be_open: true });
    answer();
    const ended = await until('its attempt is recorded', async () => {
      const delivery = await deliveryOf(id);
      return delivery.attempts_made === 1 && delivery;
    });
    t.equal(ended.state, 'cancelled');
  },
);
