import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';
import { startWay } from '../helpers/way.ts';

t.test(
  'without answers the first caller waits for the timeout, and others are refused',
  async (t) => {
    const way = await startWay(t, await createTestDatabase(t));
    const pool = createPool({ connectionString: way.url, purpose: 'test', max: 2, timeoutMs: 400 });
    t.teardown(() => pool.end());
    await pool.query('select 1');

    way.swallow(true);
    await t.rejects(pool.query('select 1'), /Query read timeout/);
    const since = performance.now();
    await t.rejects(pool.query('select 1'), /does not answer/);
    await t.rejects(pool.connect(), /does not answer/);
    t.ok(performance.now() - since < 200, 'at once');

    way.swallow(false);
    const answer = await until('the database answers', () => pool.query('select 1 as one'));
    t.strictSame(answer.rows, [{ one: 1 }]);
    t.ok(pool.totalCount <= 2, 'connections that timed out are gone');
  },
);

t.test('a connection that was taken out is ended with its statement', async (t) => {
  const way = await startWay(t, await createTestDatabase(t));
  const pool = createPool({ connectionString: way.url, purpose: 'test', max: 1, timeoutMs: 400 });
  t.teardown(() => pool.end());
  const client = await pool.connect();
  way.swallow(true);
  await t.rejects(client.query('select 1'), /Query read timeout/);
  way.swallow(false);
  // As graphile-worker does, whatever happened.
  client.release();
  const answer = await until('another one is made', () => pool.query('select 2 as two'));
  t.strictSame(answer.rows, [{ two: 2 }]);
});

t.test('a service stops although the database does not answer', async (t) => {
  const way = await startWay(t, await createTestDatabase(t));
  const { service } = await startTestService(t, { DATABASE_URL: way.url });
  way.swallow(true);
  const since = performance.now();
  await service.stop();
  const tookMs = Math.round(performance.now() - since);
  t.ok(tookMs < 20_000, `${tookMs} ms, where TCP would have waited for a quarter of an hour`);
});
