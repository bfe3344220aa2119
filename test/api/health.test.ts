import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { healthOf } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test('the health of a subscription shows its attempts and their outcomes', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  let hang = false;
  const receiver = await startReceiver(t, (response, _request, nth) => {
    if (hang) return;
    response.statusCode = nth === 3 ? 500 : 200;
    response.end();
  });
  const id = await posthorn.subscribe(receiver.url);
  t.match(await healthOf(posthorn, id), {
    subscription_id: id,
    status: 'active',
    status_reason: null,
    circuit: { state: 'closed', opened_at: null, next_probe_at: null },
    failing_since: null,
    failures: 0,
    held: 0,
    held_more: false,
    oldest_held_at: null,
    in_flight: 0,
    recent: { attempts: 0, success_rate: null, per_second: 0 },
    last_error: null,
  });
  for (let n = 0; n < 4; n++) {
    await posthorn.ingest(id, { n });
    await receiver.waitFor(n + 1);
  }
  const health = await until('four attempts are recorded', async () => {
    const now = await healthOf(posthorn, id);
    return now.recent.attempts === 4 && now;
  });
  t.match(health, {
    recent: { success_rate: 0.75, per_second: 4 / 60 },
    last_error: { at: String, error_code: 'http_status', error: /answered 500/ },
  });
  hang = true;
  await posthorn.ingest(id);
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { timeout: '1m' });
  for (let n = 0; n < 3; n++) await posthorn.ingest(id, { n });
  await until('workers have said what is open', async () => {
    return (await healthOf(posthorn, id)).in_flight >= 3;
  });
  t.equal((await posthorn.request('GET', '/v1/subscriptions/999/health')).status, 404);
});

t.test('the health counts at most 10,000 held deliveries', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const id = await posthorn.subscribe('http://127.0.0.1:9');
  const oldest = await posthorn.ingest(id);
  const client = await connect(t, databaseUrl);
  await client.query(
    `update posthorn.deliveries set state = 'held';
     insert into posthorn.deliveries (webhook_id, subscription_id, state)
     select posthorn.uuidv7(), ${id}, 'held' from generate_series(1, 10000)`,
  );
  const health = await healthOf(posthorn, id);
  t.match(health, { held: 10_000, held_more: true });
  const { json } = await posthorn.request('GET', `/v1/webhooks/${oldest}`);
  const apartMs = Date.parse(health.oldest_held_at) - Date.parse(json.accepted_at);
  t.ok(Math.abs(apartMs) < 1_000, `${apartMs} ms`);
  const { rows } = await client.query(
    'select status, circuit, held, in_flight from posthorn.subscription_health',
  );
  t.strictSame(rows, [{ status: 'active', circuit: 'closed', held: 10_000, in_flight: 0 }]);
});
