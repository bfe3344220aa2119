import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { startTcpForwarder } from '../helpers/tcp-forwarder.ts';
import { until } from '../helpers/until.ts';

t.test(
  'without answers, the first caller waits for the timeout, and others are refused',
  async (t) => {
    const forwarder = await startTcpForwarder(t, await createTestDatabase(t));
    const pool = createPool({
      connectionString: forwarder.url,
      purpose: 'test',
      max: 2,
      timeoutMs: 2_000,
    });
    t.teardown(() => pool.end());
    await pool.query('select 1');

    forwarder.drop(true);
    await t.rejects(pool.query('select 1'), /Query read timeout/);
    const since = performance.now();
    await t.rejects(pool.query('select 1'), /does not answer/);
    await t.rejects(pool.connect(), /does not answer/);
    t.ok(performance.now() - since < 1_500, 'at once');

    forwarder.drop(false);
    const answer = await until('the database answers', () => pool.query('select 1 as one'));
    t.strictSame(answer.rows, [{ one: 1 }]);
    t.ok(pool.totalCount <= 2, 'connections that timed out are gone');
  },
);

t.test('a connection is closed together with its statement', async (t) => {
  const forwarder = await startTcpForwarder(t, await createTestDatabase(t));
  const pool = createPool({
    connectionString: forwarder.url,
    purpose: 'test',
    max: 1,
    timeoutMs: 400,
  });
  t.teardown(() => pool.end());
  const client = await pool.connect();
  forwarder.drop(true);
  await t.rejects(client.query('select 1'), /Query read timeout/);
  forwarder.drop(false);
  // As graphile-worker does, whatever happened.
  client.release();
  const answer = await until('another one is made', () => pool.query('select 2 as two'));
  t.strictSame(answer.rows, [{ two: 2 }]);
});

t.test(
  'a statement that takes too long is cancelled in Postgres, and no other is refused',
  async (t) => {
    const url = await createTestDatabase(t);
    const pool = createPool({ connectionString: url, purpose: 'slow', max: 2, timeoutMs: 1_000 });
    t.teardown(() => pool.end());
    // Both connections are busy, and the third statement waits for one of them for longer than that.
    const slow = Array.from({ length: 4 }, () => pool.query('select pg_sleep(60)'));
    const waiting = pool.query('select 1 as answer');
    const settled = await Promise.allSettled([...slow, waiting]);
    t.match(
      settled,
      [...slow.map(() => ({ reason: { code: '57014' } })), { value: { rows: [{ answer: 1 }] } }],
      'each is told by Postgres, and who waited behind them gets an answer',
    );
    t.ok(pool.totalCount <= 2, 'the connections are kept');
    const { rows } = await pool.query(
      `select count(*)::integer as running from pg_stat_activity
     where datname = current_database() and state = 'active' and query like '%pg_sleep%' and pid <> pg_backend_pid()`,
    );
    t.strictSame(rows, [{ running: 0 }], 'nothing runs on');
  },
);

t.test('a service stops although the database does not answer', async (t) => {
  const forwarder = await startTcpForwarder(t, await createTestDatabase(t));
  const { service } = await startTestService(t, { DATABASE_URL: forwarder.url });
  forwarder.drop(true);
  const since = performance.now();
  await service.stop();
  const tookMs = Math.round(performance.now() - since);
  t.ok(tookMs < 20_000, `${tookMs} ms, where TCP would have waited for a quarter of an hour`);
});
