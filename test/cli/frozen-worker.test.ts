// Another process sends what a frozen process has in memory, and the frozen process changes nothing when it goes on.
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const WAITING = 60;
const HANGING = 3;

// Each waits for a lease to end.
t.jobs = 4;

/** A process, and receivers that answer so slowly that deliveries wait in its memory, until they are told to be quick. */
async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  let isQuick = false;
  const answers: (() => void)[] = [];
  const steady = await startReceiver(t, (response) => {
    if (isQuick) response.end();
    else answers.push(() => response.end());
  });
  // As long as a receiver answers in each half of a second, further deliveries to it wait in memory.
  const answering = setInterval(() => answers.shift()?.(), 100);
  t.teardown(() => clearInterval(answering));
  const refusals: (() => void)[] = [];
  const hanging = await startReceiver(t, (response) => {
    if (isQuick) response.end();
    else refusals.push(() => response.writeHead(500).end());
  });
  const cli = await startCli(t, ['start'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_DELIVERY_TIMEOUT: '120s',
  });
  const url = await cli.url();
  const post = async (path: string, body: object) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as { id: number };
  };
  const subscribe = async (url: string, type: string) =>
    (await post('/v1/subscriptions', { url, event_types: [type] })).id;
  const ids = {
    steady: await subscribe(steady.url, 'steady'),
    hanging: await subscribe(hanging.url, 'hanging'),
  };
  const numberOfWorker = async (): Promise<string | undefined> =>
    (
      await client.query(
        `select pool_id from posthorn.workers where pool_id like 'hand-over-%' and pid = $1`,
        [cli.child.pid],
      )
    ).rows[0]?.pool_id;
  await until('deliveries can be handed over', numberOfWorker);
  const count = async (what: string) =>
    (await client.query<{ n: number }>(`select count(*)::integer as n from ${what}`)).rows[0]
      ?.n as number;
  return {
    databaseUrl,
    client,
    cli,
    post,
    ids,
    count,
    numberOfWorker,
    received: () => steady.received.length + hanging.received.length,
    steady,
    hanging,
    answerAll() {
      isQuick = true;
      for (const answer of [...answers.splice(0), ...refusals.splice(0)]) answer();
    },
  };
}

type Started = Awaited<ReturnType<typeof start>>;
type Send = (started: Started, to: 'steady' | 'hanging', webhooks: number) => Promise<unknown>;

const ways: Record<string, { jobs: boolean; send: Send }> = {
  'intake has handed to it': {
    jobs: false,
    send: ({ post, ids }, to, webhooks) =>
      Promise.all(Array.from({ length: webhooks }, (_, n) => post(`/ingest/${ids[to]}`, { n }))),
  },
  'came by the queue': {
    jobs: true,
    send: ({ post }, to, webhooks) =>
      post('/v1/webhooks/batch', {
        webhooks: Array.from({ length: webhooks }, (_, data) => ({ event_type: to, data })),
      }),
  },
};

for (const [what, { jobs, send }] of Object.entries(ways)) {
  t.test(
    `what ${what} is sent by another process while it is frozen, and not by itself later`,
    async (t) => {
      const started = await start(t);
      const { databaseUrl, client, cli, count, numberOfWorker, received, steady, hanging } =
        started;
      await send(started, 'hanging', HANGING);
      await hanging.waitFor(HANGING);
      await send(started, 'steady', WAITING);
      await until(
        'some are delivered',
        async () => (await count(`posthorn.deliveries where state = 'succeeded'`)) >= 2,
      );
      t.equal((await count('graphile_worker._private_jobs')) > 0, jobs);
      const before = await numberOfWorker();
      cli.kill('SIGSTOP');
      started.answerAll();
      const other = await startTestService(t, { DATABASE_URL: databaseUrl });
      const sent = received();
      const recorded = await count(`posthorn.deliveries where state = 'succeeded'`);
      t.ok(sent < WAITING, 'many wait in its memory');
      await until(
        'all are delivered',
        async () =>
          (await count(`posthorn.deliveries where state = 'succeeded'`)) === WAITING + HANGING,
      );
      const inFlight = sent - recorded;
      t.equal(received(), WAITING + HANGING + inFlight, 'only what was in flight was sent twice');
      await until('it was taken for dead', async () => (await numberOfWorker()) === undefined);
      await other.service.stop();

      cli.kill('SIGCONT');
      await until(
        'it has recorded its late results',
        async () =>
          (await count('posthorn.delivery_attempts where attempt_number is null')) >= inFlight,
      );
      await until('it is known by another number', async () => {
        const now = await numberOfWorker();
        return now !== undefined && now !== before;
      });
      const rounds = steady.received.length;
      await send(started, 'steady', 1);
      await steady.waitFor(rounds + 1);
      // One request may have been about to be written when the process was frozen: it has the lease then.
      const again = received() - (WAITING + HANGING + inFlight + 1);
      t.ok(again === 0 || again === 1, 'it sent nothing a second time', { again });
      await until(
        'the last one is delivered',
        async () =>
          (await count(`posthorn.deliveries where state = 'succeeded'`)) === WAITING + HANGING + 1,
      );
      const { rows } = await client.query(
        'select state, attempt_count, reason, count(*)::integer as n from posthorn.deliveries group by 1, 2, 3',
      );
      t.strictSame(rows, [
        { state: 'succeeded', attempt_count: 1, reason: null, n: WAITING + HANGING + 1 },
      ]);
      t.equal(
        await count(
          `posthorn.delivery_attempts where attempt_number is null and status = 'failed'`,
        ),
        HANGING,
        'failures that came late changed nothing',
      );
    },
  );
}

for (const [what, { send }] of Object.entries(ways)) {
  t.test(`what ${what} is sent by the process itself if there is no other`, async (t) => {
    const started = await start(t);
    const { client, cli, count, received, hanging } = started;
    await send(started, 'hanging', HANGING);
    await hanging.waitFor(HANGING);
    await send(started, 'steady', WAITING);
    await until(
      'some are delivered',
      async () => (await count(`posthorn.deliveries where state = 'succeeded'`)) >= 2,
    );
    cli.kill('SIGSTOP');
    const { rows } = await client.query<{ ms: number }>(
      `select (extract(epoch from min(seen_at) + interval '30 seconds' - now()) * 1000)::float8 as ms
       from posthorn.workers where pid = $1`,
      [cli.child.pid],
    );
    // Only time ends a lease.
    await sleep(rows[0]?.ms);
    t.ok(received() < WAITING, 'many wait in its memory');
    cli.kill('SIGCONT');
    started.answerAll();
    // They would count as lost after three minutes.
    await until(
      'all are delivered',
      async () => (await count(`posthorn.deliveries where state in ('pending', 'held')`)) === 0,
      60_000,
    );
    t.equal(received(), WAITING + 2 * HANGING, 'each is sent once, or again after a failure');
  });
}
