import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { LOCKS } from '../../src/db/advisory-locks.ts';
import { startEmbeddedPostgres } from '../../src/db/embedded/postgres.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Each takes another way through the functions, to the subscriptions of `subscribe`. */
const SENDS = [
  `select posthorn.send('order.created', '1')`,
  `select posthorn.send('order.created', '1', idempotency_key => 'once')`,
  `select posthorn.send('order.created', '1', subscription_id => 1)`,
  // Held from the start, which notifies the owners of backlogs.
  `select posthorn.send('held.created', '1')`,
  `select posthorn.send_many('{order.created,held.created}', array['1', '2']::jsonb[])`,
];

/** Starts a Postgres that waits for its disk at each commit, unlike that of the tests. Returns the URL of a database. */
async function startDurablePostgres(t: Test): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'posthorn-test-notify-'));
  // As root, Postgres runs as somebody else, who has to get through.
  chmodSync(dir, 0o711);
  const postgres = await startEmbeddedPostgres(join(dir, 'data'));
  t.teardown(async () => {
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return postgres.url;
}

async function subscribe(client: pg.Client, url = 'http://a.example'): Promise<void> {
  await client.query(
    `insert into posthorn.subscriptions (url, event_types, max_in_flight)
     values ($1, '{order.*}', null), ($2, '{held.*}', 1)`,
    [`${url}/order`, `${url}/held`],
  );
}

t.test('with posthorn.notify = off, sending from SQL notifies nobody', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const [client, listener] = [await connect(t, databaseUrl), await connect(t, databaseUrl)];
  await subscribe(client);
  const told: string[] = [];
  listener.on('notification', ({ channel }) => told.push(channel));
  await listener.query('listen "jobs:insert"; listen posthorn_backlogs; listen marker');
  await listener.query(`select pg_advisory_lock_shared(${LOCKS.listening})`);
  let nth = 0;
  const toldBy = async (setting: string) => {
    nth += 1;
    await client.query(`set posthorn.notify = ${setting}`);
    for (const sql of SENDS) await client.query(sql.replace('once', `key ${nth}`));
    await client.query('notify marker');
    await until('the marker has come', () => told.at(-1) === 'marker');
    return told.splice(0).slice(0, -1);
  };
  for (const setting of ['off', 'OFF', 'false', 'no', '0'])
    t.strictSame(await toldBy(`'${setting}'`), [], setting);
  for (const setting of ['default', 'on', `''`, `'nonsense'`]) {
    const channels = await toldBy(setting);
    t.equal(channels.filter((name) => name === 'jobs:insert').length, 4, setting);
    t.equal(channels.filter((name) => name === 'posthorn_backlogs').length, 2, setting);
  }
  t.equal(
    (await client.query('select from graphile_worker._private_jobs')).rowCount,
    9 * 4,
    'the jobs are the same',
  );
});

t.test('where no worker runs, nobody is notified of jobs', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const [client, listener] = [await connect(t, databaseUrl), await connect(t, databaseUrl)];
  await subscribe(client);
  const told: string[] = [];
  listener.on('notification', ({ channel }) => told.push(channel));
  await listener.query('listen "jobs:insert"; listen marker');
  await client.query(SENDS[0] as string);
  await client.query('notify marker');
  await until('the marker has come', () => told.length > 0);
  t.strictSame(told, ['marker']);
  const { rows } = await client.query(
    `select count(*)::integer as n from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()`,
  );
  t.equal(rows[0].n, 0, 'and the sender keeps no lock');
});

t.test(
  'while many send at once, the worker polls instead of being notified, and is notified again afterwards',
  async (t) => {
    const posthorn = await startTestService(t, { DATABASE_URL: await startDurablePostgres(t) });
    const client = await connect(t, posthorn.databaseUrl);
    const receiver = await startReceiver(t);
    await subscribe(client, receiver.url);
    const [space, key] = LOCKS.listening.split(', ').map(Number) as [number, number];
    const isNotified = async () => {
      const { rowCount } = await client.query(
        `select from pg_locks
         where locktype = 'advisory' and classid::bigint = $1 and objid::bigint = $2 and granted
           and database = (select oid from pg_database where datname = current_database())`,
        [space, 2 ** 32 + key],
      );
      return rowCount === 1;
    };
    await until('the worker is notified of jobs', isNotified);
    let sent = 0;
    let sending = true;
    const senders = Array.from({ length: 16 }, async () => {
      const sender = await connect(t, posthorn.databaseUrl);
      // As on a slow disk, so that senders wait for each other on every machine.
      await sender.query('set commit_delay = 20000; set commit_siblings = 0');
      while (sending) {
        await sender.query(SENDS[0] as string);
        sent += 1;
      }
    });
    await until('nobody is notified of jobs', async () => !(await isNotified()));
    sending = false;
    await Promise.all(senders);
    await receiver.waitFor(sent);
    await until('the worker is notified again', isNotified);
    await client.query(SENDS[0] as string);
    await receiver.waitFor(sent + 1);
  },
);

t.test('a prepared transaction sends when it is committed', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query('show max_prepared_transactions');
  if (rows[0].max_prepared_transactions === '0')
    return t.skip('max_prepared_transactions is 0 on this server', () => {});
  const receiver = await startReceiver(t);
  await subscribe(client, receiver.url);
  await client.query(`
    create table public.orders (id integer); insert into public.orders values (0);
    select posthorn.watch('public.orders', event_type => 'order'),
      posthorn.watch('public.orders', event_type => 'order', per => 'row')`);
  const name = `posthorn ${process.pid} ${Date.now()}`;
  const prepare = async (...statements: string[]) => {
    await client.query('begin');
    for (const sql of statements) await client.query(sql);
    try {
      await client.query(`prepare transaction '${name}'`);
    } finally {
      await client.query('rollback');
    }
  };
  // In one way a worker of the service is told of the webhook, in the others of a job.
  for (const sql of SENDS) await t.rejects(prepare(sql), { code: '0A000' }, sql);

  const sends = [
    ...SENDS.filter((sql) => !sql.includes('held')),
    `select posthorn.send_many('{order.a,order.b}', '{1,2}', idempotency_key => 'twice')`,
    `select posthorn.send_json('order.a', '1')`,
    `select posthorn.send_raw('1', event_type => 'order.a')`,
    `select posthorn.send_query($$select 'order.a', '1'::jsonb$$)`,
    'insert into public.orders values (1)',
  ];
  for (const setting of ['off', 'False']) {
    await client.query(`set posthorn.notify = ${setting}`);
    await prepare(
      ...sends.map((sql) => sql.replace(/'(once|twice)'/, `'$1 ${setting}'`)),
      `select posthorn.send('held.created', '1')`,
      'select posthorn.backfill(1::oid)',
    );
    await client.query(`rollback prepared '${name}'`);
  }
  await prepare(...sends);
  t.strictSame(receiver.received, []);
  await client.query(`commit prepared '${name}'`);
  await receiver.waitFor(10);
  await t.rejects(
    prepare('select posthorn.pause(1)'),
    { code: '0A000' },
    'services learn at once of what is changed about subscriptions',
  );
});

t.test(
  'a steady sender with posthorn.notify = off waits for no poll, and a lone webhook for one',
  async (t) => {
    const posthorn = await startTestService(t);
    const client = await connect(t, posthorn.databaseUrl);
    const receiver = await startReceiver(t);
    await subscribe(client, receiver.url);
    await client.query('set posthorn.notify = off');
    await client.query(SENDS[0] as string);
    await receiver.waitFor(1);
    const startedAt = Date.now();
    // With the poll alone, each takes three seconds.
    for (let nth = 2; nth <= 11; nth++) {
      await client.query(SENDS[0] as string);
      await receiver.waitFor(nth);
    }
    const tookMs = Date.now() - startedAt;
    t.ok(tookMs < 15_000, `10 webhooks, one after the other: ${tookMs} ms`);
  },
);

t.test('a held webhook of posthorn.notify = off is sent without a notification', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  await subscribe(client, receiver.url);
  const send = () => client.query(`select posthorn.send('held.created', '1')`);
  await send();
  await receiver.waitFor(1);
  await client.query('set posthorn.notify = off');
  await send();
  await receiver.waitFor(2);
});
