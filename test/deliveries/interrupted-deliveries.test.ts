import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const LOCKED =
  'select count(*)::integer as locked from graphile_worker.jobs where locked_at is not null';

t.test(
  'webhooks accepted before a kill -9 are delivered by the next process, within seconds',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    let silent = true;
    const receiver = await startReceiver(t, (response) => {
      if (!silent) response.end('ok');
    });
    const doomed = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
    const base = await doomed.url();
    const created = await fetch(`${base}/subscriptions/createsubscription`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url: receiver.url }),
    });
    const { id } = (await created.json()) as { id: number };
    const accepted = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const response = await fetch(`${base}/ingest/${id}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ n }),
        });
        return ((await response.json()) as { webhook_id: string }).webhook_id;
      }),
    );
    await receiver.waitFor(10);
    doomed.kill('SIGKILL');
    await doomed.exited;
    const client = await connect(t, databaseUrl);
    const { rowCount } = await client.query(
      `select from graphile_worker.jobs where locked_at is not null
       union all select from posthorn.deliveries where state = 'pending' and handed_to is not null`,
    );
    t.ok(rowCount, 'it died holding jobs, or deliveries that have none');

    silent = false;
    const startedAt = Date.now();
    // On a busy machine a receiver may be slow too; that would be an attempt used up.
    const posthorn = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_DELIVERY_TIMEOUT: '30s',
    });
    await until(
      'every accepted webhook is delivered',
      async () => (await posthorn.request('GET', '/v1/stats')).json.succeeded === 300,
    );
    t.ok(Date.now() - startedAt < 25_000, 'by the lock, not by a silence of half a minute');
    const { rows } = await client.query(
      'select webhook_id, attempt_count, state from posthorn.deliveries',
    );
    t.strictSame(new Set(rows.map(({ webhook_id }) => webhook_id)), new Set(accepted));
    t.ok(
      rows.every(({ attempt_count, state }) => attempt_count === 1 && state === 'succeeded'),
      'the kill used up no attempts',
    );
  },
);

t.test('when one of two workers is killed, the other takes over its jobs', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  let silent = true;
  const receiver = await startReceiver(t, (response) => {
    if (!silent) response.end('ok');
  });
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const doomed = await startCli(t, ['start'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_ROLE: 'worker',
  });
  await doomed.url();
  // Ten requests are what a receiver is given at once before it has answered.
  const ids = await Promise.all(Array.from({ length: 10 }, () => api.subscribe(receiver.url)));
  await Promise.all(
    Array.from({ length: 100 }, (_, n) => api.ingest(ids[n % 10] as number, { n })),
  );
  await receiver.waitFor(100);
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  doomed.kill('SIGKILL');
  silent = false;
  const killedAt = Date.now();
  await until(
    'the other worker has delivered them',
    async () => (await api.request('GET', '/v1/stats')).json.succeeded === 100,
  );
  t.ok(Date.now() - killedAt < 25_000, 'by the lock, not by a silence of half a minute');
});

t.test('a stop lets deliveries in flight finish and leaves no job locked', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t, (response) => {
    setTimeout(() => response.end('ok'), 400);
  });
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl });
  const id = await posthorn.subscribe(receiver.url);
  for (let n = 0; n < 10; n++) await posthorn.ingest(id, { n });
  await receiver.waitFor(10);
  await posthorn.service.stop();
  const client = await connect(t, databaseUrl);
  const { rows } = await client.query('select state, attempt_count from posthorn.deliveries');
  t.strictSame(rows, Array(10).fill({ state: 'succeeded', attempt_count: 1 }));
  t.equal((await client.query(LOCKED)).rows[0].locked, 0);
});

t.test(
  'a request that outlasts the grace period is due again at once, without using an attempt',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const receiver = await startReceiver(t, () => {});
    const posthorn = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_SHUTDOWN_GRACE: '300ms',
      POSTHORN_DELIVERY_TIMEOUT: '30s',
    });
    const ids = [1, 2, 3].map(() => posthorn.subscribe(receiver.url));
    for (const id of await Promise.all(ids))
      await Promise.all(Array.from({ length: 10 }, (_, n) => posthorn.ingest(id, { n })));
    await receiver.waitFor(30);
    const startedAt = Date.now();
    await posthorn.service.stop();
    t.ok(Date.now() - startedAt < TOLD_MS);
    const client = await connect(t, databaseUrl);
    t.equal((await client.query(LOCKED)).rows[0].locked, 0);
    const { rows } = await client.query('select state, attempt_count from posthorn.deliveries');
    t.strictSame(rows, Array(30).fill({ state: 'pending', attempt_count: 0 }));
    const due = await client.query(
      `select sum(json_array_length(payload->'webhooks'))::integer as webhooks
     from graphile_worker._private_jobs where run_at <= now() and is_available`,
    );
    t.equal(due.rows[0].webhooks, 30);
  },
);

t.test('a late attempt is stored without a number and changes nothing', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  let answer: (() => void) | undefined;
  const receiver = await startReceiver(t, (response) => {
    answer = () => response.end('ok');
  });
  const posthorn = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_DELIVERY_TIMEOUT: '20s',
  });
  const webhookId = await posthorn.ingest(await posthorn.subscribe(receiver.url));
  await receiver.waitFor(1);
  // As another worker would have done that took over while this one was frozen.
  const client = await connect(t, databaseUrl);
  await client.query(
    `update posthorn.deliveries set state = 'failed', attempt_count = 1, ended_at = now(), next_attempt_at = null`,
  );
  answer?.();
  const log = await until('the late attempt is logged', async () => {
    const { json } = await posthorn.request('GET', `/logs/deliverylogs?webhook_id=${webhookId}`);
    return json.length === 1 && json;
  });
  t.match(log, [{ attempt_number: null, status: 'success' }]);
  const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
  t.match(json.deliveries, [{ state: 'failed', attempts_made: 1 }]);
});

t.test('a job for an attempt that was already made ends without a request', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const webhookId = await posthorn.ingest(await posthorn.subscribe(receiver.url));
  await until('the attempt is recorded', async () => {
    return (await posthorn.request('GET', '/v1/stats')).json.succeeded === 1;
  });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(
    `select from graphile_worker.add_job('deliver', json_build_object('attempt', 1, 'bytes', 2,
       'webhooks', json_build_array($1::uuid), 'subscriptions', json_build_array(1)))`,
    [webhookId],
  );
  await until('the job is gone', async () => {
    const { rowCount } = await client.query('select from graphile_worker.jobs');
    return rowCount === 0;
  });
  t.equal(receiver.received.length, 1);
});

t.test('a delivery whose subscription was deleted meanwhile is cancelled, not sent', async (t) => {
  const receiver = await startReceiver(t);
  const databaseUrl = await createTestDatabase(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const webhookId = await api.ingest(await api.subscribe(receiver.url));
  const client = await connect(t, databaseUrl);
  // As when the webhook's transaction commits just after the deletion's: nothing was there to cancel.
  await client.query('update posthorn.subscriptions set deleted_at = now()');
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  await until('the delivery is cancelled', async () => {
    const { json } = await api.request('GET', `/v1/webhooks/${webhookId}`);
    return json.deliveries[0].state === 'cancelled';
  });
  t.equal(receiver.received.length, 0);
});
