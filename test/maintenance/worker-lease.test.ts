import type pg from 'pg';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createSession } from '../../src/db/session.ts';
import { createPresence } from '../../src/maintenance/worker-lease.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { watchJobs } from '../helpers/deliver-jobs.ts';
import { collectLog } from '../helpers/log.ts';
import { anyLoop } from '../helpers/loops.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';
import { until } from '../helpers/until.ts';

/** The presence of a worker, whose session connects through a forwarder. */
async function startPresence(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const forwarder = await startTcpForwarder(t, databaseUrl);
  const log = pino({ level: 'silent' });
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  const session = createSession({
    databaseUrl: forwarder.url,
    purpose: 'session',
    loop: anyLoop,
    log,
  });
  const presence = createPresence(pool, session, anyLoop, log);
  await session.start();
  const looking = await connect(t, databaseUrl);
  t.teardown(async () => {
    await presence.stop();
    await session.stop();
    await pool.end();
  });
  return { databaseUrl, forwarder, session, presence, looking };
}

async function isKnown(client: pg.Client, poolId: string): Promise<boolean> {
  const { rowCount } = await client.query('select from posthorn.workers where pool_id = $1', [
    poolId,
  ]);
  return rowCount === 1;
}

t.test('a pool that starts without a session is registered with the next session', async (t) => {
  const { forwarder, session, presence, looking } = await startPresence(t);
  forwarder.close(true);
  await until('the session is lost', () => !session.connected);
  const registered = presence.register('early');
  forwarder.close(false);
  await registered;
  t.ok(await isKnown(looking, 'early'));
});

t.test('a pool is registered although the session ended at that moment', async (t) => {
  const { databaseUrl, forwarder, session, presence, looking } = await startPresence(t);
  forwarder.close(true);
  await until('the session is lost', () => !session.connected);
  const registered = presence.register('unlucky');
  const locking = await connect(t, databaseUrl);
  await locking.query('begin');
  await locking.query('lock table posthorn.workers in access exclusive mode');
  forwarder.close(false);
  await until('it is being announced', async () => {
    const { rowCount } = await looking.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and wait_event_type = 'Lock' and query like '%posthorn.workers%'`,
    );
    return rowCount === 1;
  });
  await locking.query('rollback');
  await registered;
  t.ok(await isKnown(looking, 'unlucky'));
});

t.test('registering a pool ends with an error if the pool is retired before', async (t) => {
  const { forwarder, session, presence, looking } = await startPresence(t);
  forwarder.close(true);
  await until('the session is lost', () => !session.connected);
  const given = presence.register('given up');
  const kept = presence.register('kept');
  const told = t.rejects(given, /given up was retired before it was known/);
  await presence.retire('given up');
  await told;
  forwarder.close(false);
  await kept;
  t.notOk(await isKnown(looking, 'given up'));
});

t.test(
  'a pool that was taken for dead while the session was away is not registered again',
  async (t) => {
    const { forwarder, session, presence, looking } = await startPresence(t);
    const dead: string[] = [];
    presence.onTakenForDead((poolIds) => void dead.push(...poolIds));
    await presence.register('taken');
    await presence.register('alive');
    forwarder.close(true);
    await until('the session is lost', () => !session.connected);
    await looking.query(`delete from posthorn.workers where pool_id = 'taken'`);
    forwarder.close(false);
    await until('it hears of that', () => dead.length > 0);
    t.strictSame(dead, ['taken']);
    await presence.rescue();
    t.notOk(await isKnown(looking, 'taken'), 'what it had and nobody has taken yet is free');
    t.ok(await isKnown(looking, 'alive'));
  },
);

t.test('a worker is told which of its pools was taken for dead', async (t) => {
  const { presence, looking } = await startPresence(t);
  const dead: string[] = [];
  presence.onTakenForDead((poolIds) => void dead.push(...poolIds));
  await presence.register('alive');
  await presence.register('taken');
  await looking.query(`delete from posthorn.workers where pool_id = 'taken'`);
  await presence.rescue();
  t.strictSame(dead, ['taken']);
});

t.test(
  'each worker knows how many are older, and the next one is the oldest when that is gone',
  async (t) => {
    const { databaseUrl, presence, looking } = await startPresence(t);
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
    const log = pino({ level: 'silent' });
    const session = createSession({ databaseUrl, purpose: 'session', loop: anyLoop, log });
    const other = createPresence(pool, session, anyLoop, log);
    t.teardown(async () => {
      await other.stop();
      await session.stop();
      await pool.end();
    });
    const olderThan: Record<string, number> = {};
    presence.onOlder((workers) => Object.assign(olderThan, { presence: workers }));
    other.onOlder((workers) => Object.assign(olderThan, { other: workers }));
    await session.start();
    // The row of a worker that is gone may stay for long, because of what was handed over to it.
    await looking.query(
      `insert into posthorn.workers (pool_id, host, pid) values ('hand-over-7', 'here', 1)`,
    );
    await presence.register('backlog a');
    await presence.register('queue a');
    await other.register('backlog b');
    await other.register('queue b');
    await presence.rescue();
    await other.rescue();
    t.strictSame(olderThan, { presence: 0, other: 1 });
    // Its session has ended, and nobody has found that out yet.
    await looking.query(
      `insert into posthorn.workers (id, pool_id, host, pid) values (0, 'dead', 'here', 1)`,
    );
    await other.rescue();
    await presence.rescue();
    t.strictSame(olderThan, { presence: 0, other: 1 });
    await presence.retire('queue a');
    await other.rescue();
    t.equal(olderThan.other, 0);
  },
);

t.test("a step of the database's clock makes no living worker dead", async (t) => {
  const { databaseUrl, presence, looking } = await startPresence(t);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  const { log, lines } = collectLog();
  const session = createSession({ databaseUrl, purpose: 'session', loop: anyLoop, log });
  const other = createPresence(pool, session, anyLoop, log);
  t.teardown(async () => {
    await other.stop();
    await session.stop();
    await pool.end();
  });
  await session.start();
  await presence.register('living');
  await other.register('looking');
  const ids = async () =>
    (await looking.query('select pool_id from posthorn.workers order by 1')).rows.map(
      ({ pool_id }) => pool_id,
    );
  // As it is when the clock is an hour later than at the last beats.
  await looking.query(`update posthorn.workers set seen_at = seen_at - interval '1 hour'`);
  await other.rescue();
  t.strictSame(await ids(), ['living', 'looking']);
  t.match(lines, [{ seconds: 3600, msg: /clock was set forward/ }]);
  // The other renews its lease, by the new clock.
  await presence.rescue();
  await other.rescue();
  t.strictSame(await ids(), ['living', 'looking']);
});

t.test('a worker that is silent while the clock goes on is taken for dead', async (t) => {
  const { presence, looking } = await startPresence(t);
  await presence.register('living');
  await looking.query(`insert into posthorn.workers (id, pool_id, host, pid, seen_at)
    select 1000, 'frozen', 'here', 1, now() - interval '31 seconds' from pg_advisory_lock(1347637332, 1000)`);
  await presence.rescue();
  t.notOk(await isKnown(looking, 'frozen'));
});

t.test(
  'deliveries of a dead worker get one job each, although several workers find it dead and it has a successor',
  async (t) => {
    const { databaseUrl, presence, looking } = await startPresence(t);
    await presence.register('hand-over-8');
    await looking.query(`
      select posthorn.ensure_partitions((now() - interval '1 day')::date, (now() + interval '1 day')::date);
      insert into posthorn.subscriptions (url) values ('http://a.example/');
      insert into posthorn.workers (pool_id, host, pid) values ('hand-over-7', 'here', 1);
      insert into posthorn.webhook_payloads (id, content_type, body)
      select posthorn.uuidv7(), 'application/json', '{}' from generate_series(1, 500);
      insert into posthorn.deliveries (webhook_id, subscription_id, next_attempt_at, handed_to)
      select id, 1, now(), 7 + row_number() over () % 2 from posthorn.webhook_payloads;`);
    const jobs = await watchJobs(t, databaseUrl);
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 5 });
    const log = pino({ level: 'silent' });
    t.teardown(() => pool.end());
    const session = createSession({ databaseUrl, purpose: 'session', loop: anyLoop, log });
    const finders = Array.from({ length: 5 }, () => createPresence(pool, session, anyLoop, log));
    for (let times = 0; times < 3; times++)
      await Promise.all([presence, ...finders].map(({ rescue }) => rescue()));
    const handedTo = async (worker: number) =>
      (
        await looking.query<{ id: string }>(
          'select webhook_id as id from posthorn.deliveries where handed_to = $1',
          [worker],
        )
      ).rows.map(({ id }) => id);
    t.equal((await handedTo(8)).length, 250, 'those of its successor stay');
    t.equal((await handedTo(7)).length, 0);
    const added = await jobs();
    t.equal(added.length, 250);
    t.equal(new Set(added).size, 250);
    t.ok(await isKnown(looking, 'hand-over-7'), 'it may have committed more');
    const sender = await connect(t, databaseUrl);
    await sender.query(`
      begin;
      insert into posthorn.deliveries (webhook_id, subscription_id, handed_to) values (posthorn.uuidv7(), 1, 7)`);
    await looking.query(
      `update posthorn.workers set seen_at = now() - interval '20 seconds' where pool_id = 'hand-over-7'`,
    );
    for (let times = 0; times < 3; times++) await presence.rescue();
    t.ok(await isKnown(looking, 'hand-over-7'), 'a transaction that sent before is still open');
    await sender.query('commit');
    await until('the dead worker is forgotten', async () => {
      await presence.rescue();
      return !(await isKnown(looking, 'hand-over-7'));
    });
    t.equal((await handedTo(7)).length, 0, 'what was committed late has a job too');
    t.ok(await isKnown(looking, 'hand-over-8'));
  },
);
