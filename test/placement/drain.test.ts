// Pausing a tenant that moves: it waits for all attempts under way, however late workers hear or say something.
import pg from 'pg';
import t from 'tap';
import { drain } from '../../src/placement/drain.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test(
  'a pause waits for an attempt under way, also if a worker tells late of the time before it',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const { request } = await startTestService(t, { DATABASE_URL: databaseUrl });
    let answer = () => {};
    const receiver = await startReceiver(t, (response) => {
      answer = () => response.end('ok');
    });
    await request('POST', '/v1/tenants', { id: 'acme' });
    await request('POST', '/v1/subscriptions?tenant=acme', { url: receiver.url });

    // The worker has counted no attempt, and its statement is delayed.
    const delaying = await connect(t, databaseUrl);
    await delaying.query('begin; lock table posthorn.workers in share mode');
    await client.query('notify posthorn_beats');
    await until('the worker says what is under way', async () => {
      const { rowCount } = await client.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%in_flight%'`,
      );
      return rowCount === 1;
    });
    await request('POST', '/v1/webhooks?tenant=acme', { event_type: 'a.b', data: {} });
    await receiver.waitFor(1);

    const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
    t.teardown(() => pool.end());
    let drained = false;
    const draining = drain(pool, 'acme', new AbortController().signal).then(() => {
      drained = true;
    });
    await until('the pause is old', async () => {
      const { rowCount } = await client.query(
        `select from posthorn.subscriptions where status = 'paused' and status_changed_at < clock_timestamp() - interval '2 seconds'`,
      );
      return rowCount === 1;
    });
    await delaying.query('commit');
    let questions = 0;
    client.on('notification', () => {
      questions += 1;
    });
    await client.query('listen posthorn_beats');
    await until('the mover has looked again', () => drained || questions > 3);
    t.notOk(drained, 'the attempt is under way');
    answer();
    await draining;
    const { rows } = await client.query('select state from posthorn.deliveries');
    t.strictSame(rows, [{ state: 'succeeded' }]);
  },
);
