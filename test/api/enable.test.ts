import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { deliveriesOf, healthOf, ingestUntilOpen } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test(
  'enabling with backlog "skip" cancels held deliveries, and later webhooks are sent',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
    const statuses = [500, 500, 410];
    const receiver = await startReceiver(t, (response, _request, nth) => {
      response.statusCode = statuses[nth - 1] ?? 200;
      response.end();
    });
    const id = await posthorn.subscribe(receiver.url);
    for (let nth = 1; nth <= 3; nth++) {
      await posthorn.ingest(id, { nth });
      await receiver.waitFor(nth);
    }
    await until('it is disabled', async () => (await healthOf(posthorn, id)).status === 'disabled');
    for (let n = 0; n < 20; n++) await posthorn.ingest(id, { n });
    const body = { backlog: 'skip' };
    const reply = await posthorn.request('POST', `/v1/subscriptions/${id}/enable`, body);
    t.match(reply, {
      status: 200,
      json: { id, status: 'active', status_reason: null, skipped: 22 },
    });
    const cancelled = await deliveriesOf(posthorn, id, 'cancelled');
    t.equal(cancelled.length, 22, 'what was held, and what waited for a retry');
    t.ok(cancelled.every(({ reason }) => reason === 'skipped'));
    const next = await posthorn.ingest(id, { next: true });
    const [, , , fourth] = await receiver.waitFor(4);
    t.equal(fourth?.headers['webhook-id'], next);
    t.match(await healthOf(posthorn, id), { failing_since: null, held: 0 });
  },
);

t.test('enabling an active subscription closes its circuit', async (t) => {
  const posthorn = await startTestService(t, {
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
    POSTHORN_RETRY_SCHEDULE: '1h',
  });
  let status = 500;
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = status;
    response.end();
  });
  const id = await posthorn.subscribe(receiver.url);
  await ingestUntilOpen(posthorn, id);
  const webhookId = await posthorn.ingest(id);
  t.ok((await healthOf(posthorn, id)).held > 0);
  status = 200;
  const body = { backlog: 'resume' };
  t.equal((await posthorn.request('POST', `/v1/subscriptions/${id}/enable`, body)).status, 200);
  await until('what was held is delivered', async () => {
    const done = await deliveriesOf(posthorn, id, 'succeeded');
    return done.some(({ webhook_id }) => webhook_id === webhookId);
  });
});

t.test('a new URL closes the circuit too', async (t) => {
  const posthorn = await startTestService(t, {
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
    POSTHORN_RETRY_SCHEDULE: '1h',
  });
  const broken = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end();
  });
  const good = await startReceiver(t);
  const id = await posthorn.subscribe(broken.url);
  await ingestUntilOpen(posthorn, id);
  const webhookId = await posthorn.ingest(id);
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { url: good.url });
  await until('what was held has come to the other one', () => {
    return good.received.some(({ headers }) => headers['webhook-id'] === webhookId);
  });
});

t.test(
  'a worker finishes a skip of held deliveries whose process died after it had begun it',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
    const id = await api.subscribe('http://127.0.0.1:9');
    const client = await connect(t, databaseUrl);
    // As a process leaves it that died when it had stored what is to be done.
    await client.query(`
    insert into posthorn.deliveries (webhook_id, subscription_id, state)
    select posthorn.uuidv7(), ${id}, 'held' from generate_series(1, 12000);
    update posthorn.subscriptions
    set status = 'paused', status_reason = 'It is being enabled: what it was owed is being skipped.',
      skip_until = posthorn.uuidv7()`);
    const after = await api.ingest(id);
    const of = async (webhookId: string) =>
      (await api.request('GET', `/v1/webhooks/${webhookId}`)).json.deliveries[0];
    t.match(await of(after), { state: 'held' });
    const resumed = await api.request('POST', `/v1/subscriptions/${id}/resume`);
    t.match(resumed.json, { status: 'paused' }, 'a resume does not send what is to be skipped');
    await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
    await until('it is active', async () => (await healthOf(api, id)).status === 'active');
    const { rows } = await client.query(`
    select count(*)::integer as skipped from posthorn.deliveries where reason = 'skipped' and state = 'cancelled'`);
    t.equal(rows[0].skipped, 12_000);
    t.not((await of(after)).state, 'cancelled', 'what came later is owed');
  },
);

t.test('enabling refuses wrong bodies with the reason', async (t) => {
  const { request, subscribe } = await startTestService(t);
  const id = await subscribe('http://127.0.0.1:9');
  t.equal((await request('POST', '/v1/subscriptions/999/enable')).status, 404);
  const wrong = await request('POST', `/v1/subscriptions/${id}/enable`, { backlog: 'drop' });
  t.equal(wrong.status, 400);
  t.match(wrong.json.errors, [{ field: 'body.backlog', message: 'must be one of resume, skip' }]);
  const unknown = await request('POST', `/v1/subscriptions/${id}/enable`, { skip: true });
  t.match(unknown, { status: 400, json: { errors: [{ field: 'body.skip' }] } });
});
