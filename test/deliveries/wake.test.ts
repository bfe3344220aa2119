import pg from 'pg';
import t from 'tap';
import { wakeDeliveries } from '../../src/deliveries/wake.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const JOBS = `select count(*)::integer as jobs from graphile_worker.jobs where task_identifier = 'deliver'`;

t.test('a delivery whose job is lost gets a new job and is sent', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const id = await api.subscribe(receiver.url);
  for (let n = 0; n < 60; n++) await api.ingest(id, { n });
  const client = await connect(t, databaseUrl);
  await client.query('delete from graphile_worker._private_jobs');
  await client.query(
    `update posthorn.deliveries set next_attempt_at = now() - interval '10 minutes'`,
  );
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  const requests = await receiver.waitFor(60);
  t.equal(new Set(requests.map(({ headers }) => headers['webhook-id'])).size, 60);
});

t.test('a job that waits in a long queue is not taken for lost', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const id = await api.subscribe(receiver.url);
  for (let n = 0; n < 30; n++) await api.ingest(id, { n });
  const client = await connect(t, databaseUrl);
  // As after an hour without a worker.
  await client.query(`update posthorn.deliveries set next_attempt_at = now() - interval '1 hour'`);
  await client.query(
    `update graphile_worker._private_jobs set run_at = now() - interval '1 hour 1 second'`,
  );
  const worker = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  await until('all are delivered', async () => {
    return (await api.request('GET', '/v1/stats')).json.succeeded === 30;
  });
  await worker.service.stop();
  t.equal(receiver.received.length, 30, 'none was sent twice');
});

t.test('a retry that is far off waits outside the queue, and is sent when it is due', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth <= 3 ? 500 : 200;
    response.end();
  });
  const settings = { DATABASE_URL: databaseUrl, POSTHORN_RETRY_SCHEDULE: '2h' };
  const first = await startTestService(t, settings);
  const id = await first.subscribe(receiver.url);
  for (let n = 0; n < 3; n++) await first.ingest(id, { n });
  const client = await connect(t, databaseUrl);
  await until('the first attempts are recorded', async () => {
    return (await first.request('GET', '/v1/stats')).json.retrying === 3;
  });
  await until('the queue is empty', async () => (await client.query(JOBS)).rows[0].jobs === 0);
  await first.service.stop();
  // Two hours pass.
  await client.query(
    `update posthorn.deliveries set next_attempt_at = next_attempt_at - interval '2 hours 24 minutes'`,
  );
  const second = await startTestService(t, settings);
  await receiver.waitFor(6);
  await until('they have succeeded at the second attempt', async () => {
    const { json } = await second.request('GET', '/v1/deliveries?state=succeeded');
    return (
      json.data.filter((one: { attempts_made: number }) => one.attempts_made === 2).length === 3
    );
  });
});

t.test('a job that a worker is working on is not taken for lost', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const answers: (() => void)[] = [];
  const receiver = await startReceiver(t, (response) => {
    answers.push(() => response.end('ok'));
  });
  const settings = { DATABASE_URL: databaseUrl, POSTHORN_DELIVERY_TIMEOUT: '60s' };
  const posthorn = await startTestService(t, { ...settings, POSTHORN_ROLE: 'api' });
  await startTestService(t, { ...settings, POSTHORN_ROLE: 'worker' });
  // Ten requests are what a receiver is given at once before it has answered.
  const ids = [1, 2, 3].map(() => posthorn.subscribe(receiver.url));
  for (const id of await Promise.all(ids))
    for (let n = 0; n < 10; n++) await posthorn.ingest(id, { n });
  await receiver.waitFor(30);
  const client = await connect(t, databaseUrl);
  // As if they had waited for an hour before they were taken, a moment ago.
  await client.query(`update posthorn.deliveries set next_attempt_at = now() - interval '1 hour'`);
  await client.query(`update graphile_worker._private_jobs set run_at = now() - interval '1 hour'`);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  const woken = await wakeDeliveries(pool, 0, 60_000);
  await pool.end();
  t.match(woken, { woken: 0, lost: 0 });
  for (const answer of answers) answer();
  await until('all are delivered', async () => {
    return (await posthorn.request('GET', '/v1/stats')).json.succeeded === 30;
  });
  t.equal(receiver.received.length, 30);
});

t.test("a tenant's many deliveries for the same time go behind those of others", async (t) => {
  const pool = new pg.Pool({ connectionString: await createTestDatabase(t), max: 1 });
  t.teardown(() => pool.end());
  await pool.query(`insert into posthorn.tenants (id) values ('modest')`);
  await pool.query(
    `insert into posthorn.subscriptions (url, tenant)
     values ('http://a.example/', 'default'), ('http://b.example/', 'modest')`,
  );
  for (const [number, attempts, priority] of [
    [500, 0, 0],
    [501, 0, 1],
    [501, 1, 1],
  ] as const) {
    await pool.query('delete from graphile_worker._private_jobs');
    await pool.query(
      `select posthorn.send_many(array_fill('a'::text, array[$1::integer]), array_fill('1'::jsonb, array[$1::integer]),
         deliver_at => now() + interval '1 hour')`,
      [number],
    );
    await pool.query(
      `select posthorn.send('a', '1'::jsonb, tenant => 'modest', deliver_at => now() + interval '1 hour')`,
    );
    await pool.query(
      `update posthorn.deliveries set next_attempt_at = now() + interval '30 seconds', attempt_count = $1
       where not queued`,
      [attempts],
    );
    t.match(await wakeDeliveries(pool, 60_000, 15_000), { woken: number + 1, lost: 0 });
    const { rows } = await pool.query(
      `select priority, run_at > now() as later, sum(json_array_length(payload->'webhooks'))::integer as deliveries
       from graphile_worker._private_jobs group by 1, 2 order by 1`,
    );
    const many = { priority, later: true, deliveries: number };
    const one = { priority: 0, later: true, deliveries: 1 };
    t.strictSame(
      rows,
      priority === 0 ? [{ ...one, deliveries: number + 1 }] : [one, many],
      `${number} deliveries after ${attempts} attempts`,
    );
  }
});
