// Webhooks from SQL that a worker takes without a job: it is notified, whatever happens in between.
import type pg from 'pg';
import t, { type Test } from 'tap';
import { LOCKS, TAKING_SPACE } from '../../src/db/advisory-locks.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { watchJobs } from '../helpers/deliver-jobs.ts';
import { type Answer, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Less than the time after which a delivery counts as lost. */
const BEFORE_LOST_MS = 60_000;
const SEND = `select posthorn.send('order.created', '{"n": 1}') as id`;

interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly attempts: number;
  readonly taken: boolean;
}

/** A process that takes webhooks from SQL, with a subscription that gets them. */
async function start(t: Test, env: Record<string, string> = {}, answer?: Answer) {
  const databaseUrl = env.DATABASE_URL ?? (await createTestDatabase(t));
  const client = await connect(t, databaseUrl);
  const receiver = await startReceiver(t, answer);
  await client.query(
    `insert into posthorn.subscriptions (url, event_types) values ($1, '{order.*}')`,
    [receiver.url],
  );
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl, ...env });
  await untilTaking(client);
  const jobs = await watchJobs(t, databaseUrl);
  const deliveries = async (): Promise<Delivery[]> =>
    (
      await client.query<Delivery>(
        `select webhook_id as id, state, attempt_count as attempts, handed_to is not null as taken
         from posthorn.deliveries order by 1, subscription_id`,
      )
    ).rows;
  const untilAllSucceeded = (number: number) =>
    until(
      `${number} deliveries have succeeded`,
      async () => {
        const all = await deliveries();
        return (
          all.length === number &&
          all.every(({ state, attempts }) => state === 'succeeded' && attempts === 1) &&
          all
        );
      },
      BEFORE_LOST_MS,
    );
  const receivedIds = () => receiver.received.map(({ headers }) => headers['webhook-id']);
  return {
    databaseUrl,
    client,
    receiver,
    posthorn,
    jobs,
    deliveries,
    untilAllSucceeded,
    receivedIds,
  };
}

const locks = async (client: pg.Client, where: string) =>
  (
    await client.query(
      `select from pg_locks where locktype = 'advisory' and granted and ${where}
         and database = (select oid from pg_database where datname = current_database())`,
    )
  ).rowCount;

function untilTaking(client: pg.Client): Promise<unknown> {
  return until(
    'the worker takes webhooks from SQL',
    async () => (await locks(client, `classid::bigint = ${TAKING_SPACE}`)) === 1,
  );
}

async function isNotified(client: pg.Client): Promise<boolean> {
  const [space, key] = LOCKS.listening.split(', ').map(Number) as [number, number];
  return (
    (await locks(client, `classid::bigint = ${space} and objid::bigint = ${2 ** 32 + key}`)) === 1
  );
}

t.test('a webhook from SQL needs no job, is sent once and recorded once', async (t) => {
  const { client, receiver, jobs, untilAllSucceeded, receivedIds } = await start(t);
  const sends = [
    SEND,
    `select posthorn.send('order.created', '1', subscription_id => 1)`,
    `select posthorn.send_many('{order.created}', array['1']::jsonb[])`,
    `select posthorn.send_json('order.created', '1')`,
  ];
  for (const [nth, sql] of sends.entries()) {
    await client.query(sql);
    await receiver.waitFor(nth + 1);
  }
  const all = await untilAllSucceeded(sends.length);
  t.ok(all.every(({ taken }) => taken));
  t.strictSame(await jobs(), []);
  await client.query(
    `insert into posthorn.subscriptions (url, event_types)
     select $1, '{ten.*}' from generate_series(1, 10)`,
    [receiver.url],
  );
  await client.query(`select posthorn.send('ten.created', '1')`);
  await untilAllSucceeded(sends.length + 10);
  t.strictSame(await jobs(), [], 'nor does one for ten subscriptions');
  t.equal(new Set(receivedIds()).size, sends.length + 1);
  t.equal(receiver.received.length, sends.length + 10);
});

t.test('a transaction that sends many uses the queue for those after the first', async (t) => {
  const { client, jobs, untilAllSucceeded, receivedIds } = await start(t);
  await client.query('begin');
  for (let n = 0; n < 30; n++) await client.query(SEND);
  await client.query('commit');
  const all = await untilAllSucceeded(30);
  t.equal(all.filter(({ taken }) => taken).length, 25);
  const queued = all.filter(({ taken }) => !taken).map(({ id }) => id);
  t.strictSame((await jobs()).toSorted(), queued.toSorted());
  t.strictSame(receivedIds().toSorted(), all.map(({ id }) => id).toSorted());
});

t.test('what is rolled back is not sent, and nobody else can have a webhook sent', async (t) => {
  const { client, receiver, jobs, deliveries, receivedIds } = await start(t);
  await client.query(`begin; savepoint a; ${SEND}; rollback to a; commit`);
  await client.query(`begin; ${SEND}; rollback`);
  const scheduled = (
    await client.query(
      `select posthorn.send('order.created', '1', deliver_at => now() + interval '1 hour') as id`,
    )
  ).rows[0].id;
  const [number] = (
    await client.query(
      `select substr(pool_id, 11) as number from posthorn.workers where pool_id like 'hand-over-%'`,
    )
  ).rows.map(({ number }) => number);
  for (const payload of [
    `${number} 9 ${scheduled} 1`,
    `${number} 9 ${scheduled} 1,1,1`,
    `${number} 9 ${scheduled} 99999999999`,
    `${number} 9 ${scheduled}`,
    `7 9 ${scheduled} 1`,
    '',
    'nonsense',
  ])
    await client.query(`select pg_notify('posthorn_handed_over', $1)`, [payload]);
  // The notification of a webhook, and then those of somebody who has heard it.
  await client.query('begin');
  const { rows } = await client.query(SEND);
  await client.query('commit');
  for (const subscriptions of ['1', '1,1', '1'])
    await client.query(`select pg_notify('posthorn_handed_over', $1)`, [
      `${number} 9 ${rows[0].id} ${subscriptions}`,
    ]);
  await receiver.waitFor(1);
  await until('it is recorded', async () =>
    (await deliveries()).some(({ state }) => state === 'succeeded'),
  );
  await client.query(SEND);
  await receiver.waitFor(2);
  t.equal(receivedIds().filter((id) => id === rows[0].id).length, 1, 'it is sent once');
  t.notOk(receivedIds().includes(scheduled), 'and a scheduled one not before its time');
  t.strictSame(await jobs(), []);
});

t.test(
  'while the database session is lost, webhooks from SQL are delivered, and those of which nobody was told',
  async (t) => {
    const { databaseUrl, client, receiver, deliveries, untilAllSucceeded, receivedIds } =
      await start(t);
    const open = await connect(t, databaseUrl);
    await open.query('begin');
    await open.query(SEND);
    const endSessions = () =>
      client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'posthorn % session'`,
      );
    let away = true;
    const ending = (async () => {
      while (away) await endSessions();
    })();
    await until('nobody is notified', async () => !(await isNotified(client)));
    await open.query('commit');
    for (let n = 1; n <= 3; n++) {
      await client.query(SEND);
      await receiver.waitFor(n);
    }
    const during = await deliveries();
    t.equal(during.filter(({ taken }) => taken).length, 1, 'those after it use the queue');
    away = false;
    await ending;
    await until('the worker is notified again', () => isNotified(client));
    await receiver.waitFor(4);
    await untilTaking(client);
    await client.query(SEND);
    const all = await untilAllSucceeded(5);
    t.ok(all.at(-1)?.taken, 'and takes webhooks again');
    t.strictSame(receivedIds().toSorted(), all.map(({ id }) => id).toSorted());
  },
);

t.test('a webhook that is committed after its worker has stopped is sent once', async (t) => {
  const { databaseUrl, client, posthorn, jobs, untilAllSucceeded, receivedIds } = await start(t);
  const open = await connect(t, databaseUrl);
  await open.query('begin');
  await open.query(SEND);
  await posthorn.service.stop();
  t.equal(await locks(client, `classid::bigint = ${TAKING_SPACE}`), 0);
  await client.query(SEND);
  await open.query('commit');
  const next = await startTestService(t, { DATABASE_URL: databaseUrl });
  const all = await untilAllSucceeded(2);
  t.strictSame(receivedIds().toSorted(), all.map(({ id }) => id).toSorted());
  t.strictSame((await jobs()).toSorted(), all.map(({ id }) => id).toSorted());
  await next.service.stop();
});

t.test('webhooks for which a worker has no room use the queue, and arrive once', async (t) => {
  let silent = true;
  const waiting: (() => void)[] = [];
  const { databaseUrl, client, receiver, jobs, untilAllSucceeded, receivedIds } = await start(
    t,
    { POSTHORN_MAX_IN_FLIGHT: '25' },
    (response) => {
      if (silent) waiting.push(() => response.end());
      else response.end();
    },
  );
  await client.query(
    `insert into posthorn.subscriptions (url, event_types)
     select $1, array['to.' || n] from generate_series(1, 60) n`,
    [receiver.url],
  );
  // All at once: a receiver that has not answered for half a second is held, and takes no room.
  const senders = await Promise.all(Array.from({ length: 6 }, () => connect(t, databaseUrl)));
  await Promise.all(
    senders.map(async (sender, nth) => {
      for (let n = nth * 10 + 1; n <= nth * 10 + 10; n++)
        await sender.query(`select posthorn.send('to.${n}', '1')`);
    }),
  );
  await until('there are jobs for some, which had no room', async () => (await jobs()).length > 0);
  silent = false;
  const answering = setInterval(() => {
    for (const answer of waiting.splice(0)) answer();
  }, 20);
  t.teardown(() => clearInterval(answering));
  const all = await untilAllSucceeded(60);
  t.ok(
    all.some(({ taken }) => taken),
    'some had',
  );
  t.strictSame(receivedIds().toSorted(), all.map(({ id }) => id).toSorted());
});
