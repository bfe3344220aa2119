import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { deliveriesOf, healthOf, ingestUntilOpen, subscribeAs } from '../helpers/health.ts';
import { type ReceivedRequest, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/** What a receiver was told, once its signature was found right. */
function told({ body, headers }: ReceivedRequest) {
  const text = body.toString();
  new Webhook(SECRET).verify(text, headers as Record<string, string>);
  return JSON.parse(text);
}

t.test(
  'subscriptions that list the types get webhooks about failing, recovered, disabled',
  async (t) => {
    const posthorn = await startTestService(t, {
      POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=200ms,max=200ms',
      POSTHORN_RETRY_SCHEDULE: '1h',
    });
    let status = 500;
    const receiver = await startReceiver(t, (response) => {
      response.statusCode = status;
      response.end();
    });
    const operator = await startReceiver(t);
    const everything = await startReceiver(t);
    await subscribeAs(posthorn, {
      url: operator.url,
      secret: SECRET,
      event_types: ['posthorn.subscription.failing', 'posthorn.subscription.recovered'],
    });
    await subscribeAs(posthorn, { url: everything.url });
    await subscribeAs(posthorn, { url: everything.url, event_types: ['*'] });
    const id = await subscribeAs(posthorn, { url: receiver.url, event_types: [] });
    await ingestUntilOpen(posthorn, id);
    const [failing] = await operator.waitFor(1);
    t.match(told(failing as ReceivedRequest), {
      type: 'posthorn.subscription.failing',
      timestamp: /^\d{4}-.*Z$/,
      data: {
        subscription_id: id,
        url: receiver.url,
        status: 'active',
        failing_since: /^\d{4}-/,
        last_error_code: 'http_status',
        reason: 'The receiver answered 500 Internal Server Error.',
      },
    });
    await posthorn.ingest(id);
    status = 200;
    const [, recovered] = await operator.waitFor(2);
    t.match(told(recovered as ReceivedRequest), {
      type: 'posthorn.subscription.recovered',
      data: { subscription_id: id, failing_since: /^\d{4}-/ },
    });
    await until('all is well', async () => (await healthOf(posthorn, id)).failing_since === null);
    status = 410;
    await posthorn.ingest(id);
    await until('it is disabled', async () => (await healthOf(posthorn, id)).status === 'disabled');
    t.equal(operator.received.length, 2, 'a type that is not listed is not told');
    t.equal(everything.received.length, 0, 'nor is anything to those that take all');
  },
);

t.test('a 410 disables the subscription at once, and its deliveries are held', async (t) => {
  const posthorn = await startTestService(t);
  let status = 410;
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = status;
    response.end();
  });
  const operator = await startReceiver(t);
  await subscribeAs(posthorn, {
    url: operator.url,
    secret: SECRET,
    event_types: ['posthorn.*'],
  });
  const id = await subscribeAs(posthorn, { url: receiver.url, event_types: ['order.*'] });
  const refused = await posthorn.ingest(id);
  const { json } = await until('it is disabled', async () => {
    const reply = await posthorn.request('GET', `/v1/subscriptions/${id}`);
    return reply.json.status === 'disabled' && reply;
  });
  t.match(json.status_reason, /410 Gone/);
  const [disabled] = await operator.waitFor(1);
  t.match(told(disabled as ReceivedRequest), {
    type: 'posthorn.subscription.disabled',
    data: { subscription_id: id, status: 'disabled', reason: /410 Gone/, last_error_code: 'gone' },
  });
  const failed = await until('its delivery has ended', async () => {
    const found = await deliveriesOf(posthorn, id, 'failed');
    return found.length > 0 && found;
  });
  t.strictSame(
    failed.map(({ webhook_id }) => webhook_id),
    [refused],
    'the one that was refused has failed',
  );
  const held = await posthorn.ingest(id);
  const sent = { event_type: 'order.created', data: 1 };
  t.equal((await posthorn.request('POST', '/v1/webhooks', sent)).json.deliveries, 0);
  t.match(await deliveriesOf(posthorn, id, 'held'), [{ webhook_id: held }]);
  t.equal(receiver.received.length, 1, 'and nothing more is sent to it');
  await until('the metrics count it', async () => {
    const { text } = await posthorn.request('GET', '/metrics');
    return /^posthorn_subscriptions_disabled 1$/m.test(text);
  });

  status = 200;
  const enabled = await posthorn.request('POST', `/v1/subscriptions/${id}/enable`);
  t.match(enabled, { status: 200, json: { id, status: 'active', status_reason: null } });
  await until('what was held is delivered', async () => {
    const [delivery] = await deliveriesOf(posthorn, id, 'succeeded');
    return delivery?.webhook_id === held;
  });
});

t.test('a subscription is disabled if it fails for long without one success', async (t) => {
  const posthorn = await startTestService(t, {
    POSTHORN_DISABLE_AFTER: '5s',
    POSTHORN_RETRY_SCHEDULE: Array(50).fill('200ms').join(','),
  });
  const refusing = await startReceiver(t, (response) => {
    response.statusCode = 404;
    response.end();
  });
  const shaky = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth % 4 === 0 ? 200 : 404;
    response.end();
  });
  const dead = await posthorn.subscribe(refusing.url);
  const alive = await posthorn.subscribe(shaky.url);
  await posthorn.ingest(dead);
  for (let n = 0; n < 5; n++) await posthorn.ingest(alive, { n });
  const health = await until('it is disabled', async () => {
    const now = await healthOf(posthorn, dead);
    if (now.status === 'active') await posthorn.ingest(alive);
    return now.status === 'disabled' && now;
  });
  t.match(health.status_reason, /has failed since \d{4}-.* UTC without one success.*404/);
  t.equal((await healthOf(posthorn, alive)).status, 'active');
});
