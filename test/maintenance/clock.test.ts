import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { moveFutureTimes } from '../../src/deliveries/future-times.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** SQL for an id of a time. */
const idAt = (ahead: string) =>
  `overlay(posthorn.uuidv7()::text placing left(posthorn.uuidv7_floor(now() + interval '${ahead}')::text, 13) from 1 for 13)::uuid`;

t.test('what a clock a day ahead accepted is delivered when it is right again', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const client = await connect(t, posthorn.databaseUrl);
  // Deliveries as such a clock leaves them: due tomorrow, as their jobs are.
  await client.query(
    `with made as (
       insert into posthorn.webhook_payloads (id, accepted_at, content_type, body)
       select ${idAt('1 day')}, now() + interval '1 day', 'application/json', '{}' from generate_series(1, 10)
       returning id
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, next_attempt_at)
     select id, $1::integer, now() + interval '1 day' from made`,
    [id],
  );
  const pool = createPool({ connectionString: posthorn.databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  await moveFutureTimes(pool);
  await receiver.waitFor(10, 60_000);
  t.equal((await moveFutureTimes(pool)).deliveries, 0);
});

t.test(
  'strict order goes on after such a clock, although its owner has read the late times',
  async (t) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    const id = await subscribeAs(posthorn, { url: receiver.url, ordering: 'strict' });
    const client = await connect(t, posthorn.databaseUrl);
    await client.query(
      `with made as (
       insert into posthorn.webhook_payloads (id, accepted_at, content_type, body, ordering_key)
       select ${idAt('1 day')}, now() + interval '1 day', 'application/json', '{}', 'a' from generate_series(1, 10)
       returning id
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, next_attempt_at, state, queued)
     select id, $1::integer, now() + interval '1 day', 'held', false from made`,
      [id],
    );
    await client.query(`select pg_notify('posthorn_backlogs', $1::text)`, [id]);
    await until('an owner has read them', async () => {
      const { rows } = await client.query(
        `select from posthorn.backlogs where subscription_id = $1 and owner is not null`,
        [id],
      );
      return rows.length === 1;
    });
    const pool = createPool({ connectionString: posthorn.databaseUrl, purpose: 'test', max: 1 });
    t.teardown(() => pool.end());
    await moveFutureTimes(pool);
    await receiver.waitFor(10, 60_000);
  },
);

t.test('a retry keeps its delay, and what is rightly late stays late', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  const owe = async (attemptAhead: string, dueAhead: string) => {
    const { rows } = await client.query(
      `with owed as (
         insert into posthorn.deliveries (webhook_id, subscription_id, attempt_count, next_attempt_at)
         values (posthorn.uuidv7(), 1, 1, now() + $2::interval) returning webhook_id
       )
       insert into posthorn.delivery_attempts (at, webhook_id, subscription_id, attempt_number, status, duration_ms)
       select now() + $1::interval, webhook_id, 1, 1, 'failed', 5 from owed
       returning webhook_id`,
      [attemptAhead, dueAhead],
    );
    return rows[0].webhook_id;
  };
  const wrong = await owe('1 day', '1 day 10 minutes');
  const right = await owe('-1 minute', '2 days');
  await client.query(
    `insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at, opened_at, probe_at, probe_interval_ms)
     values (1, now() + interval '1 day', 10, now() + interval '1 day', now() + interval '1 day', now() + interval '25 hours', 5000),
       (2, now() - interval '1 day', 10, now(), now() - interval '1 day', now() + interval '1 hour', 5000)`,
  );
  t.match(await moveFutureTimes(pool), { deliveries: 1, circuits: 1 });
  const dueIn = async (id: string) =>
    (
      await client.query(
        `select extract(epoch from next_attempt_at - now())::float8 as seconds from posthorn.deliveries where webhook_id = $1`,
        [id],
      )
    ).rows[0].seconds;
  t.ok(Math.abs((await dueIn(wrong)) - 600) < 30);
  t.ok((await dueIn(right)) > 86_400);
  const { rows } = await client.query(
    'select subscription_id as id from posthorn.circuits where probe_at <= now()',
  );
  t.strictSame(rows, [{ id: 1 }]);
  t.match(await moveFutureTimes(pool), { deliveries: 0, circuits: 0 });
});
