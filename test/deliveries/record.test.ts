import type pg from 'pg';
import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { type AttemptResult, recordAttempts } from '../../src/deliveries/record.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

async function owe(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query(
    'insert into posthorn.deliveries (webhook_id, subscription_id) values (posthorn.uuidv7(), 1) returning webhook_id',
  );
  return rows[0].webhook_id;
}

/** The result of a first attempt, as a worker has it: two of them are two requests, however alike. */
const resultOf = (webhookId: string, state: 'succeeded' | 'pending'): AttemptResult => ({
  webhookId,
  subscriptionId: 1,
  attemptNumber: 1,
  status: state === 'succeeded' ? 'success' : 'failed',
  responseCode: state === 'succeeded' ? 200 : 500,
  errorCode: null,
  error: null,
  durationMs: 5,
  phases: { dns: null, connect: null, tls: null, firstByte: 1, body: 0 },
  timestamp: 1_760_000_000,
  responseExcerpt: null,
  state,
  retryInMs: state === 'succeeded' ? null : 1_000,
  bytes: 2,
});

for (const state of ['succeeded', 'pending'] as const)
  t.test(`an attempt is a row for each request that was made: ${state}`, async (t) => {
    const pool = createPool({
      connectionString: await createTestDatabase(t),
      purpose: 'test',
      max: 3,
      settings: POOL_PLANS.delivery,
    });
    t.teardown(() => pool.end());
    const numbers = async (webhookId: string) =>
      (
        await pool.query(
          'select attempt_number from posthorn.delivery_attempts where webhook_id = $1 order by 1',
          [webhookId],
        )
      ).rows.map(({ attempt_number }) => attempt_number);

    const [repeated, other] = [await owe(pool), await owe(pool)];
    const results = [resultOf(repeated, state), resultOf(other, state)];
    t.match(await recordAttempts(pool, results), { late: 0 });
    t.match(await recordAttempts(pool, results), { late: 0 }, 'the answer to the first was lost');
    t.strictSame([await numbers(repeated), await numbers(other)], [[1], [1]]);

    const twice = resultOf(repeated, state);
    t.match(await recordAttempts(pool, [twice]), { late: 1 }, 'another worker sent it too');
    t.match(await recordAttempts(pool, [twice]), { late: 0 });
    t.strictSame(await numbers(repeated), [1, null]);

    // The first statement waits for a lock; its caller gave up, and repeats it.
    const slow = resultOf(await owe(pool), state);
    const locking = await pool.connect();
    await locking.query('begin');
    await locking.query('select from posthorn.deliveries where webhook_id = $1 for update', [
      slow.webhookId,
    ]);
    const both = [recordAttempts(pool, [slow]), recordAttempts(pool, [slow])];
    await locking.query('commit');
    locking.release();
    await Promise.all(both);
    t.strictSame(await numbers(slow.webhookId), [1]);
  });

t.test('retries of one of very many deliveries go behind those of other senders', async (t) => {
  const pool = createPool({
    connectionString: await createTestDatabase(t),
    purpose: 'test',
    max: 1,
    settings: POOL_PLANS.delivery,
  });
  t.teardown(() => pool.end());
  const [one, ofMany] = [await owe(pool), await owe(pool)];
  await recordAttempts(pool, [
    resultOf(one, 'pending'),
    { ...resultOf(ofMany, 'pending'), bulk: true },
  ]);
  const { rows } = await pool.query(
    `select priority, payload->'webhooks' as webhooks from graphile_worker._private_jobs order by priority`,
  );
  t.strictSame(rows, [
    { priority: 0, webhooks: [one] },
    { priority: 1, webhooks: [ofMany] },
  ]);
});
