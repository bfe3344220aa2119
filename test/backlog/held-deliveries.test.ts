import type { ServerResponse } from 'node:http';
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

t.test('receivers that hang, however many, leave places to those that answer', async (t) => {
  const hung = await startReceiver(t, () => {});
  const good = await startReceiver(t);
  const posthorn = await startTestService(t, {
    POSTHORN_DELIVERY_TIMEOUT: '60s',
    POSTHORN_SHUTDOWN_GRACE: '0s',
    POSTHORN_MAX_IN_FLIGHT: '100',
  });
  const alive = await posthorn.subscribe(good.url);
  await posthorn.ingest(alive);
  await good.waitFor(1);
  const dead: number[] = [];
  for (let n = 0; n < 30; n++) dead.push(await posthorn.subscribe(hung.url));
  for (let round = 0; round < 20; round++)
    await Promise.all([...dead, alive, alive].map((id) => posthorn.ingest(id, { round })));
  await good.waitFor(41);
  t.ok(hung.received.length <= 50, `${hung.received.length} requests hang: half of all at most`);
  const client = await connect(t, posthorn.databaseUrl);
  await until(
    'the queue is not where the rest waits',
    async () => {
      const { rows } = await client.query(
        'select count(*)::integer as jobs from graphile_worker.jobs where locked_at is null',
      );
      return rows[0].jobs < 10;
    },
    TOLD_MS,
  );
});

t.test(
  'receivers that are slow get more requests at once, also where all come from backlogs',
  async (t) => {
    const slow = await startReceiver(t, () => {});
    const posthorn = await startTestService(t, {
      POSTHORN_DELIVERY_TIMEOUT: '60s',
      POSTHORN_SHUTDOWN_GRACE: '0s',
      POSTHORN_MAX_IN_FLIGHT: '1000',
    });
    const ids: number[] = [];
    for (let n = 0; n < 40; n++)
      ids.push(await subscribeAs(posthorn, { url: slow.url, max_in_flight: 10 }));
    for (let n = 0; n < 10; n++) await Promise.all(ids.map((id) => posthorn.ingest(id, { n })));
    // The total limit begins at 200: without growth, receivers that never answered get 80 of these.
    await slow.waitFor(300);
  },
);

t.test('what a receiver did not take is sent when it is back, the oldest first', async (t) => {
  // It does not answer until it is back, and then has lost what it was asked before. Nothing is sent
  // twice for an answer that a busy machine reads too late.
  const lost: ServerResponse[] = [];
  let back = false;
  const receiver = await startReceiver(t, (response) => {
    if (back) response.end('ok');
    else lost.push(response);
  });
  const posthorn = await startTestService(t, { POSTHORN_DELIVERY_TIMEOUT: '60s' });
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  const held = async () =>
    (
      await client.query(
        `select count(*)::integer as held from posthorn.deliveries where state = 'held' and attempt_count = 0`,
      )
    ).rows[0].held;
  for (let n = 0; n < 500; n += 10)
    await Promise.all(Array.from({ length: 10 }, (_, m) => posthorn.ingest(id, { n: n + m })));
  await until('most of them are held', async () => (await held()) > 450);
  const before = receiver.received.length;
  back = true;
  for (const response of lost) response.destroy();
  await until('all have succeeded', async () => {
    return (await posthorn.request('GET', '/v1/stats')).json.succeeded === 500;
  });
  const seen = new Set(
    receiver.received.slice(0, before).map(({ headers }) => headers['webhook-id']),
  );
  const first = receiver.received
    .slice(before)
    .map(({ headers }) => headers['webhook-id'] as string)
    .filter((webhookId) => !seen.has(webhookId));
  t.ok(first.length > 450);
  const sorted = first.toSorted();
  const distances = first.map((one, at) => Math.abs(sorted.indexOf(one) - at));
  const mean = distances.reduce((sum, one) => sum + one, 0) / distances.length;
  // Sent in any order it would be a third of their number.
  t.ok(mean < first.length / 6, `in order, but for what was under way together: ${mean}`);
  t.equal(new Set(first).size, first.length, 'none was sent twice');
  await until('nothing is left of the backlog', async () => {
    const { rows } = await client.query('select count(*)::integer as n from posthorn.backlogs');
    return rows[0].n === 0;
  });
});

t.test('what is held outlives the process that held it', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  let back = false;
  const receiver = await startReceiver(t, (response) => {
    if (back) response.end('ok');
  });
  const doomed = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
  await doomed.url();
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const id = await api.subscribe(receiver.url);
  for (let n = 0; n < 100; n++) await api.ingest(id, { n });
  const client = await connect(t, databaseUrl);
  await until('the doomed one owns a backlog', async () => {
    const { rows } = await client.query(
      `select count(*)::integer as n from posthorn.backlogs where owner is not null`,
    );
    return rows[0].n === 1;
  });
  doomed.kill('SIGKILL');
  await doomed.exited;
  back = true;
  const startedAt = Date.now();
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  await until(
    'another one has delivered all',
    async () => (await api.request('GET', '/v1/stats')).json.succeeded === 100,
  );
  t.ok(Date.now() - startedAt < 25_000, 'by the lock, not by a silence of half a minute');
});

t.test('what is held for a subscription that is deleted is cancelled', async (t) => {
  const receiver = await startReceiver(t, () => {});
  const posthorn = await startTestService(t, {
    POSTHORN_DELIVERY_TIMEOUT: '60s',
    POSTHORN_SHUTDOWN_GRACE: '0s',
  });
  const id = await posthorn.subscribe(receiver.url);
  for (let n = 0; n < 50; n++) await posthorn.ingest(id, { n });
  const list = async (state: string) =>
    (await posthorn.request('GET', `/v1/deliveries?state=${state}`)).json.data.length;
  await until('some are held', async () => (await list('held')) >= 30);
  t.ok((await posthorn.request('GET', '/v1/stats')).json.held >= 30, 'and stats say so');
  t.equal((await posthorn.request('DELETE', `/v1/subscriptions/${id}`)).status, 200);
  t.equal(await list('held'), 0);
  t.equal(await list('cancelled'), 50);
  t.equal(receiver.received.length, 10, 'a receiver that has not answered gets ten at once');
});

t.test('what is held is sent, whatever the number of its subscription', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const client = await connect(t, databaseUrl);
  const ids = [1, 127, 128, 157, 255, 256, 495, 32_768, 40_000, 2_147_483_647];
  const payload = { text: 'é 🎺 \u007f\u0080' };
  for (const id of ids) {
    await client.query(
      'insert into posthorn.subscriptions (id, url) overriding system value values ($1, $2)',
      [id, `${receiver.url}/${id}`],
    );
    await api.ingest(id, payload);
  }
  // As a worker leaves them that has no place for them.
  await client.query('delete from graphile_worker._private_jobs');
  await client.query(`update posthorn.deliveries set state = 'held'`);
  await client.query(
    'insert into posthorn.backlogs (subscription_id) select unnest($1::integer[])',
    [ids],
  );
  await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  const requests = await receiver.waitFor(ids.length);
  t.strictSame(
    requests.map(({ path }) => Number(path.slice(1))).sort((a, b) => a - b),
    ids,
  );
  for (const { body } of requests) t.equal(body.toString(), JSON.stringify(payload));
});
