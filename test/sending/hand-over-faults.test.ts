// Webhooks that intake has handed to the sender of its own process are delivered, whatever happens meanwhile.
import t, { type Test } from 'tap';
import { createAcceptGate } from '../helpers/accept-gate.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { untilHandedOver, watchJobs } from '../helpers/deliver-jobs.ts';
import { type Answer, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';
import { until } from '../helpers/until.ts';

/** A delivery that nobody knows of counts as lost after a minute and the time of an attempt, 90 s here. */
const BEFORE_LOST_MS = 60_000;

// Each of them waits for time limits of seconds.
t.jobs = 5;

/** A process that hands deliveries over, and whose connections to the database can fail. */
async function start(t: Test, env: Record<string, string> = {}, answer?: Answer) {
  const databaseUrl = await createTestDatabase(t);
  const forwarder = await startTcpForwarder(t, databaseUrl);
  const client = await connect(t, databaseUrl);
  const receiver = await startReceiver(t, answer);
  const posthorn = await startTestService(t, { DATABASE_URL: forwarder.url, ...env });
  await untilHandedOver(
    t,
    { ...posthorn, databaseUrl },
    await posthorn.subscribe((await startReceiver(t)).url),
  );
  const subscription = await posthorn.subscribe(receiver.url);
  const jobs = await watchJobs(t, databaseUrl);
  const committed = async (): Promise<string[]> =>
    (
      await client.query('select webhook_id from posthorn.deliveries where subscription_id = $1', [
        subscription,
      ])
    ).rows.map(({ webhook_id }) => webhook_id);
  const untilSucceeded = async (deliveries: number) => {
    await until(
      `${deliveries} deliveries have succeeded`,
      async () => {
        const { rows } = await client.query<{ state: string; attempt_count: number }>(
          'select state, attempt_count from posthorn.deliveries where subscription_id = $1',
          [subscription],
        );
        return (
          rows.length === deliveries &&
          rows.every(({ state, attempt_count }) => state === 'succeeded' && attempt_count === 1)
        );
      },
      BEFORE_LOST_MS,
    );
  };
  const ingest = (n: number) => posthorn.request('POST', `/ingest/${subscription}`, { n });
  const ids = () => receiver.received.map(({ headers }) => headers['webhook-id'] as string);
  const numbers = async (): Promise<number[]> =>
    (
      await client.query(
        `select substring(pool_id from '[0-9]+$')::integer as number from posthorn.workers where pool_id like 'hand-over-%'`,
      )
    ).rows.map(({ number }) => number);
  return {
    databaseUrl,
    forwarder,
    client,
    receiver,
    posthorn,
    subscription,
    jobs,
    committed,
    untilSucceeded,
    ingest,
    ids,
    numbers,
  };
}

t.test('webhooks whose commit got no answer are sent once if they were committed', async (t) => {
  const { forwarder, jobs, committed, untilSucceeded, ingest, ids } = await start(t);
  const before = await Promise.all([1, 2, 3].map(ingest));
  t.ok(before.every(({ status }) => status === 202));
  forwarder.dropAnswers(true);
  const unsure = await Promise.all([4, 5, 6].map(ingest));
  t.ok(unsure.some(({ text }) => /:outcome-unknown/.test(text)));
  t.ok(unsure.every(({ status }) => status === 503));
  forwarder.dropAnswers(false);
  const webhooks = await committed();
  t.ok(webhooks.length > 3, 'some were committed');
  await untilSucceeded(webhooks.length);
  t.strictSame(ids().sort(), webhooks.toSorted());
  const added = await jobs();
  t.equal(new Set(added).size, added.length, 'each has one job at most');
});

/** Counts how often anybody has looked for deliveries that were handed over to a process and are not in its memory. */
async function watchSearches(t: Test, databaseUrl: string): Promise<() => Promise<number>> {
  const client = await connect(t, databaseUrl);
  await client.query(`
    create table public.searches (at timestamptz default now());
    create function public.note_search() returns trigger language plpgsql as $$
      begin
        if pg_catalog.current_query() like '%requeued as%' then insert into public.searches default values; end if;
        return null;
      end $$;
    create trigger note_search after update of handed_to on posthorn.deliveries
      for each statement execute function public.note_search();`);
  return async () => (await client.query('select from public.searches')).rowCount ?? 0;
}

/** A process that has lost its connections while its statement to accept a webhook is still running. */
async function loseConnections(t: Test) {
  const started = await start(t);
  const { databaseUrl, forwarder, committed, ingest } = started;
  const gate = await createAcceptGate(t, databaseUrl);
  const searches = await watchSearches(t, databaseUrl);
  await gate.close();
  const answer = ingest(1);
  await gate.untilWaiting(1);
  forwarder.close(true);
  t.match(await answer, { status: 503, text: /:outcome-unknown/ });
  forwarder.close(false);
  await until('it has looked for what was committed', async () => (await searches()) === 1);
  t.strictSame(await committed(), [], 'which was too early');
  const commit = async () => {
    await gate.open();
    return await until('it is committed', async () => {
      const ids = await committed();
      return ids.length > 0 && ids;
    });
  };
  return { ...started, commit };
}

t.test('a webhook that is committed after its connection was lost is sent once', async (t) => {
  const { jobs, untilSucceeded, ids, numbers, commit } = await loseConnections(t);
  const [number] = await numbers();
  const webhooks = await commit();
  await untilSucceeded(1);
  t.strictSame(ids(), webhooks);
  t.strictSame(await jobs(), webhooks);
  t.strictSame(await numbers(), [number], 'the process was not taken for dead');
});

t.test(
  'a webhook that is committed after its process has stopped is sent once by the next',
  async (t) => {
    const { databaseUrl, posthorn, jobs, untilSucceeded, ids, numbers, commit } =
      await loseConnections(t);
    await posthorn.service.stop();
    const webhooks = await commit();
    await startTestService(t, { DATABASE_URL: databaseUrl });
    await untilSucceeded(1);
    t.strictSame(ids(), webhooks);
    t.strictSame(await jobs(), webhooks);
    await until('the process is forgotten', async () => (await numbers()).length === 1);
  },
);

t.test(
  'a webhook that is committed after its process was taken for dead is sent once, and so are later ones',
  async (t) => {
    const { databaseUrl, client, jobs, committed, untilSucceeded, ingest, ids, numbers } =
      await start(t);
    const gate = await createAcceptGate(t, databaseUrl);
    await gate.close();
    const answer = ingest(1);
    await gate.untilWaiting(1);
    const before = await numbers();
    await client.query(`delete from posthorn.workers where pool_id like 'hand-over-%'`);
    await gate.open();
    t.match(await answer, { status: 202 });
    await untilSucceeded(1);
    const after = await until('it is known by another number', async () => (await numbers())[0]);
    t.notSame([after], before);
    await until('webhooks are handed over under that number', async () => {
      t.match(await ingest(2), { status: 202 });
      const { rows } = await client.query(
        'select handed_to from posthorn.deliveries order by webhook_id desc limit 1',
      );
      return rows[0].handed_to === after;
    });
    const webhooks = await committed();
    await untilSucceeded(webhooks.length);
    t.strictSame(ids().toSorted(), webhooks.toSorted());
    const added = await jobs();
    t.equal(new Set(added).size, added.length, 'each has one job at most');
  },
);
