// A customer's program: written against the client that test/api/client.test.ts makes from the
// document, beside which it is put to be compiled and run. It is excluded from our own tsconfig.json,
// since here there is no client.ts.
import { deepEqual, equal, match, ok } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
// From either of its two places.
import type { Place } from '../../test/client/place.ts';
import { Api, type Problem } from './client.ts';

function clientOf(baseUrl: string, key: string) {
  return new Api({
    baseUrl,
    baseApiParams: { secure: true },
    securityWorker: () => ({ headers: { authorization: `Bearer ${key}` } }),
  });
}

/** The error that the client throws: the response, with the problem that the document describes. */
async function problemOf(asking: Promise<unknown>): Promise<Problem> {
  try {
    await asking;
  } catch (error) {
    return (error as { error: Problem }).error;
  }
  throw new Error('That should not have worked.');
}

type Client = ReturnType<typeof clientOf>;

interface Day extends Place {
  readonly posthorn: Client;
  readonly subscriptionId: number;
  readonly secret: string;
}

/** A day in the life of a customer, from the key to the end of the subscription. */
export async function day(place: Place): Promise<void> {
  const { baseUrl, adminKey, receiver } = place;
  const admin = clientOf(baseUrl, adminKey);
  const tenant = await admin.tenants.createTenant({ id: 'acme', name: 'Acme Ltd.' });
  const { id: keyId, key } = await admin.keys.createKey({
    tenant: tenant.id,
    scopes: ['manage', 'send', 'read'],
  });
  const posthorn = clientOf(baseUrl, key);
  equal((await posthorn.service.readyz()).status, 'ok');
  equal((await problemOf(clientOf(baseUrl, 'not a key').history.getStats())).status, 401);
  equal((await problemOf(posthorn.tenants.listTenants())).status, 403);

  // No key of a tenant may watch tables. The one of the operator may, and is told what is wrong.
  equal((await problemOf(posthorn.watches.createWatch({ table: 'orders' }))).status, 403);
  const unknown = await problemOf(admin.watches.createWatch({ table: 'no_such_table' }));
  deepEqual([unknown.status, unknown.errors?.[0]?.field], [400, 'body.table']);
  equal((await problemOf(admin.watches.createBackfill(1, { per_second: 10 }))).status, 404);
  deepEqual((await admin.watches.listBackfills({})).data, []);

  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const subscriptionId = await subscribe(posthorn, `${receiver.url}/orders`, secret);
  const today: Day = { ...place, posthorn, subscriptionId, secret };
  await describeTypes(today);
  await sendSome(today);
  await sendOnce(today);
  const lost = await loseADelivery(today);
  await rotateTheSecret(today);
  await sendAgain(today, lost);
  await pauseAndResume(today);
  await scheduleAndCancel(today);
  await deleteTheSubscription(today);

  // No other tenant sees any of it, and the key is no longer needed.
  deepEqual((await admin.history.listDeliveries({ tenant: 'default' })).data, []);
  await admin.keys.revokeKey(keyId);
  // Every process refuses the key after it is notified.
  await place.until('the key is refused', async () => {
    const status = await posthorn.history.getStats().then(
      () => 200,
      (error: { error: Problem }) => error.error.status,
    );
    return status === 401;
  });
}

async function subscribe(posthorn: Client, url: string, secret: string): Promise<number> {
  const refused = await problemOf(
    posthorn.subscriptions.createSubscription({ url: 'ftp://example.com' }),
  );
  equal(refused.status, 400);
  equal(refused.errors?.[0]?.field, 'body.url');
  const { id, status } = await posthorn.subscriptions.createSubscription({
    url,
    secret,
    event_types: ['order.*'],
    retry_schedule: '50ms,50ms',
  });
  equal(status, 'active');
  const { data } = await posthorn.subscriptions.listSubscriptions({
    limit: 10,
    include: 'health',
  });
  deepEqual(
    data.map((one) => [one.id, one.url, one.health?.held]),
    [[id, url, 0]],
  );
  return id;
}

/** Sends webhooks, which arrive with a valid signature. */
async function sendSome({ posthorn, receiver, secret }: Day): Promise<void> {
  const sent = await posthorn.ingest.sendWebhook({ event_type: 'order.created', data: { id: 7 } });
  equal(sent.deliveries, 1);
  const [first] = await receiver.waitFor('/orders', 1);
  ok(first);
  const received = new Webhook(secret).verify(first.body, first.headers);
  match(JSON.stringify(received), /"type":"order.created".*"data":{"id":7}/);
  equal(first.headers['webhook-id'], sent.webhook_id);

  const batch = await posthorn.ingest.sendWebhooks({
    webhooks: [
      { event_type: 'order.paid', data: { id: 7 } },
      { event_type: 'invoice.paid', data: { id: 1 } },
      { event_type: 'order.shipped', data: { id: 7 } },
    ],
  });
  deepEqual(
    batch.webhooks.map(({ deliveries }) => deliveries),
    [1, 0, 1],
  );
  await receiver.waitFor('/orders', 3);
}

/** Describes the event types for the people who receive them. */
async function describeTypes({ posthorn }: Day): Promise<void> {
  const eventTypes = posthorn.eventTypes;
  await eventTypes.createEventType({
    name: 'order.paid',
    schema: { type: 'object', required: ['id'] },
    example: { id: 7 },
  });
  await eventTypes.updateEventTypeSettings({ validate: true });
  const refused = await problemOf(
    posthorn.ingest.sendWebhook({ event_type: 'order.paid', data: { total: 12.5 } }),
  );
  equal(refused.status, 400);
  match(refused.errors?.[0]?.field ?? '', /^body\.data/);
}

/** A program that does not know whether it has sent may send again. */
async function sendOnce({ posthorn, receiver }: Day): Promise<void> {
  const order = { event_type: 'order.held', data: { id: 9 } };
  const headers = { 'Idempotency-Key': 'order-9' };
  const first = await posthorn.ingest.sendWebhook(order, {}, { headers });
  const again = await posthorn.ingest.sendWebhook(order, {}, { headers });
  equal(again.webhook_id, first.webhook_id);
  const other = posthorn.ingest.sendWebhook({ ...order, data: { id: 10 } }, {}, { headers });
  equal((await problemOf(other)).status, 422);
  await receiver.waitForWebhook(first.webhook_id);
}

/** The receiver is down for longer than its retries last, so a delivery fails. */
async function loseADelivery({ posthorn, receiver, until }: Day): Promise<string> {
  receiver.answer(503);
  const lost = await posthorn.ingest.sendWebhook({ event_type: 'order.lost', data: null });
  const failed = await until('it has failed', async () => {
    const { data } = await posthorn.history.listDeliveries({ state: 'failed' });
    return data[0] ?? false;
  });
  equal(failed.webhook_id, lost.webhook_id);
  equal(failed.attempts_made, 3);
  const { deliveries } = await posthorn.history.getWebhook(lost.webhook_id);
  deepEqual(
    deliveries[0]?.attempts.map(({ response_code }) => response_code),
    [503, 503, 503],
  );
  equal((await posthorn.history.getStats({ window: '1h' })).failed, 1);
  receiver.answer(200);
  return failed.id;
}

/** During the overlap, receivers with the old or the new secret find a valid signature. */
async function rotateTheSecret(today: Day): Promise<void> {
  const { posthorn, receiver, subscriptionId, secret } = today;
  const rotated = await posthorn.subscriptions.rotateSecret(subscriptionId, {}, { overlap: '1h' });
  ok(rotated.secret);
  ok(rotated.previous_valid_until);
  const { webhook_id } = await posthorn.ingest.sendWebhook({ event_type: 'order.new', data: {} });
  const received = await receiver.waitForWebhook(webhook_id);
  for (const one of [secret, rotated.secret])
    new Webhook(one).verify(received.body, received.headers);
}

/** Sends failed deliveries again: one by hand, and all of the day together. */
async function sendAgain(today: Day, lost: string): Promise<void> {
  const { posthorn, receiver, subscriptionId, until } = today;
  const outcome = await posthorn.subscriptions.testSubscription(subscriptionId, {});
  deepEqual([outcome.status, outcome.response?.status_code], ['success', 200]);

  const problems = await posthorn.history.listProblems({ window: '1h' });
  const problem = problems.data.find(({ last_delivery }) => last_delivery === lost);
  deepEqual([problem?.cause, problem?.next_step.action], ['http_status', 'replay_since']);
  const { reason, why, change } = await posthorn.history.getDeliveryWhy(lost);
  equal(reason, 'attempts_used_up');
  match(why, /^Failed at .* attempt 3 of 3, the last one, failed with/);
  ok(change.some(({ action, request }) => action === 'retry' && request?.method === 'POST'));
  const { webhook_id } = await posthorn.history.retryDelivery(lost);
  await receiver.waitForWebhook(webhook_id, 4);
  await until('it has succeeded', async () => {
    return (await posthorn.history.getDelivery(lost)).state === 'succeeded';
  });
  const { data } = await posthorn.history.listAttempts({ webhook_id });
  deepEqual(
    data.map(({ attempt_number, status }) => [attempt_number, status]),
    [
      [4, 'success'],
      [3, 'failed'],
      [2, 'failed'],
      [1, 'failed'],
    ],
  );

  const replay = await posthorn.tasks.replaySubscription(subscriptionId, {
    since: new Date(Date.now() - 3_600_000).toISOString(),
    states: ['succeeded'],
    event_types: ['order.lost'],
  });
  const ended = await until('the replay has ended', async () => {
    const task = await posthorn.tasks.getTask(replay.id);
    return task.ended_at !== null && task;
  });
  deepEqual([ended.state, ended.changed, ended.progress], ['succeeded', 1, 1]);
  await receiver.waitForWebhook(webhook_id, 5);
}

/** Pauses the subscription while its receiver is repaired; the held webhooks arrive after that. */
async function pauseAndResume({ posthorn, receiver, subscriptionId }: Day): Promise<void> {
  const paused = await posthorn.subscriptions.pauseSubscription(
    subscriptionId,
    {},
    { reason: 'an upgrade' },
  );
  deepEqual([paused.status, paused.status_reason], ['paused', 'an upgrade']);
  const { webhook_id } = await posthorn.ingest.sendWebhook({ event_type: 'order.new', data: {} });
  const { data } = await posthorn.history.listDeliveries({ webhook_id });
  deepEqual(
    data.map(({ state }) => state),
    ['held'],
  );
  equal((await posthorn.subscriptions.resumeSubscription(subscriptionId)).status, 'active');
  await receiver.waitForWebhook(webhook_id);
}

/** Schedules a webhook, and cancels it before its time. */
async function scheduleAndCancel({ posthorn }: Day): Promise<void> {
  const deliver_at = new Date(Date.now() + 3_600_000).toISOString();
  const { webhook_id } = await posthorn.ingest.sendWebhook({
    event_type: 'order.new',
    data: {},
    deliver_at,
    headers: { 'x-source': 'billing' },
  });
  const webhook = await posthorn.history.getWebhook(webhook_id);
  deepEqual([webhook.deliver_at, webhook.headers], [deliver_at, { 'x-source': 'billing' }]);
  equal((await posthorn.history.cancelWebhook(webhook_id)).cancelled, 1);
}

async function deleteTheSubscription({ posthorn, subscriptionId }: Day): Promise<void> {
  const changed = await posthorn.subscriptions.updateSubscription(subscriptionId, {
    description: 'orders',
    metadata: { customer: 'c_17' },
  });
  equal(changed.metadata?.customer, 'c_17');
  equal((await posthorn.subscriptions.deleteSubscription(subscriptionId)).cancelled, 0);
  const gone = await problemOf(posthorn.subscriptions.getSubscription(subscriptionId));
  equal(gone.status, 404);
}
