// A process that stops leaves nothing in its memory for which others would have to wait.
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { untilHandedOver, watchJobs } from '../helpers/deliver-jobs.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Far less than the 30 s after which a worker without a sign of life is taken for dead. */
const SOON_MS = 20_000;
const WEBHOOKS = 60;

t.test('a stop finishes what is in flight, and gives back at once what waits', async (t) => {
  const posthorn = await startTestService(t);
  const { databaseUrl } = posthorn;
  const client = await connect(t, databaseUrl);
  await untilHandedOver(t, posthorn, await posthorn.subscribe((await startReceiver(t)).url));
  const jobs = await watchJobs(t, databaseUrl);
  let stopped = false;
  const answers: (() => void)[] = [];
  const slow = await startReceiver(t, (response) => {
    answers.push(() => response.end());
  });
  const hanging = await startReceiver(t, (response) => {
    if (stopped) response.end();
  });
  const queue: (() => void)[] = [];
  // As long as a receiver answers in each half of a second, further deliveries to it wait in memory.
  const answering = setInterval(() => queue.shift()?.(), 100);
  t.teardown(() => clearInterval(answering));
  const steady = await startReceiver(t, (response) => {
    if (stopped) response.end();
    else queue.push(() => response.end());
  });
  const ids = await Promise.all([slow, hanging, steady].map(({ url }) => posthorn.subscribe(url)));
  const [toSlow, toHanging, toSteady] = ids as [number, number, number];
  const send = (id: number, webhooks: number) =>
    Promise.all(Array.from({ length: webhooks }, (_, n) => posthorn.ingest(id, { n })));
  await send(toSlow, 3);
  await send(toHanging, 3);
  await Promise.all([slow.waitFor(3), hanging.waitFor(3)]);
  await send(toSteady, WEBHOOKS);
  await steady.waitFor(10);

  const stopping = posthorn.service.stop();
  stopped = true;
  for (const answer of [...answers, ...queue.splice(0)]) answer();
  await stopping;
  const { rows } = await client.query(
    `
    select webhook_id as id, subscription_id as subscription, state, handed_to, attempt_count
    from posthorn.deliveries where subscription_id = any($1)`,
    [ids],
  );
  const owed = rows.filter(({ state }) => state !== 'succeeded');
  t.ok(
    owed.every(({ attempt_count }) => attempt_count === 0),
    'no attempt is used up',
  );
  const pending = owed.filter(({ state }) => state === 'pending');
  t.ok(pending.every(({ handed_to }) => handed_to === null));
  t.strictSame((await jobs()).toSorted(), pending.map(({ id }) => id).toSorted(), 'each has a job');
  const left = (subscription: number) =>
    owed.filter((row) => row.subscription === subscription).length;
  t.equal(left(toSlow), 0, 'what was answered within the grace period is recorded');
  t.equal(left(toHanging), 3, 'what was not is owed');
  t.ok(left(toSteady) > 10, 'many waited in memory');
  t.equal((await client.query('select from posthorn.workers')).rowCount, 0);
  const { rows: notDue } = await client.query(
    'select id from graphile_worker._private_jobs where not is_available or run_at > now()',
  );
  t.strictSame(notDue, [], 'all jobs are due at once');

  const next = await startTestService(t, { DATABASE_URL: databaseUrl });
  await until(
    'all are delivered',
    async () => {
      const { json } = await next.request('GET', '/v1/stats');
      return json.queue_depth + json.held === 0;
    },
    SOON_MS,
  );
  t.equal(slow.received.length, 3);
  t.equal(hanging.received.length, 6);
  t.equal(steady.received.length, WEBHOOKS, 'what waited is sent once');
});
