import { runBatch } from '../../../src/bulk-operations/run.ts';
import { createTask } from '../../../src/bulk-operations/store.ts';
import { inTransaction } from '../../../src/db/transaction.ts';
import { expireHeld } from '../../../src/deliveries/expire.sql.ts';
import { moveFutureTimes } from '../../../src/deliveries/future-times.sql.ts';
import { requeueHandedOver } from '../../../src/deliveries/handed-over.sql.ts';
import { retryDelivery } from '../../../src/deliveries/retry.ts';
import { skipSome } from '../../../src/deliveries/skip.sql.ts';
import { wakeDeliveries } from '../../../src/deliveries/wake.sql.ts';
import { subscriptionHealth } from '../../../src/health/health.sql.ts';
import { daysOf, found, type Hot, type Samples } from './samples.ts';

/** Statements of periodic work, and of bulk operations. */
export function ofManyDeliveries({ ended, pending }: Samples): Hot[] {
  return [
    {
      what: 'wake deliveries that are due soon',
      pool: 'general',
      rows: 1_000,
      // The earliest job of the queue, which has what is due within a minute.
      whole: ['_private_jobs'],
      run: async (pool) => {
        const { woken, lost } = await wakeDeliveries(pool, 10_000, 30_000);
        found(woken, woken, 1_000);
        found(lost, lost, 500);
      },
    },
    {
      what: 'add jobs for the deliveries of a worker that is gone',
      pool: 'general',
      // It looks at the pending deliveries of the worker's last minutes, and passes over the backlogs.
      rows: 1_000,
      run: async (pool) => {
        await pool.query(
          `update posthorn.deliveries set handed_to = 7, attempt_count = 0, next_attempt_at = now()
           where webhook_id = any($1) and subscription_id = any($2) and state::text = 'pending'`,
          [pending.webhooks, pending.subscriptions],
        );
        const requeued = await requeueHandedOver(pool, [7]);
        found(requeued, requeued, 25);
      },
    },
    {
      what: 'move due times in the future',
      pool: 'general',
      rows: 10,
      run: async (pool) => void (await moveFutureTimes(pool)),
    },
    {
      what: 'expire held deliveries',
      pool: 'general',
      rows: 2_000,
      run: async (pool) => {
        const { expired } = await expireHeld(pool, [
          { subscriptionId: 1, afterMs: 2 * 3_600_000 },
          { subscriptionId: 500, afterMs: 3_600_000 },
        ]);
        found(expired, expired, 2_000);
      },
    },
    ...([1, 101] as const).map(
      (subscriptionId): Hot => ({
        what: `skip deliveries of subscription ${subscriptionId}`,
        pool: 'general',
        rows: 2_000,
        run: async (pool) => {
          await pool.query(
            `update posthorn.subscriptions set skip_until = posthorn.uuidv7() where id = $1`,
            [subscriptionId],
          );
          const skipped = await skipSome(pool, subscriptionId);
          found(skipped, skipped, 500);
        },
      }),
    ),
    {
      what: 'read the health of a subscription',
      pool: 'general',
      rows: 11_000,
      run: async (pool) => {
        const health = await subscriptionHealth(pool, 'default', 1);
        found(health, health?.held ?? 0, 10_000);
      },
    },
    ...(
      [
        ['ask what became of a webhook', 'select * from posthorn.status($1)', pending],
        ['retry all deliveries of a webhook in SQL', 'select posthorn.retry($1)', pending],
        ['retry a delivery in SQL', 'select posthorn.retry($1, $2)', ended],
        ['cancel all deliveries of a webhook in SQL', 'select posthorn.cancel($1)', pending],
      ] as const
    ).map(
      ([what, text, keys]): Hot => ({
        what,
        pool: 'general',
        rows: 10,
        days: daysOf(keys),
        run: async (pool) => {
          const values = [
            keys.webhooks[0],
            ...(text.includes('$2') ? [keys.subscriptions[0]] : []),
          ];
          const { rows } = await pool.query(text, values);
          found(rows, rows.length, 1);
        },
      }),
    ),
    ...(['replay', 'cancel'] as const).map(
      (kind): Hot => ({
        what: `batches that ${kind}`,
        pool: 'general',
        rows: 5_000,
        run: (pool) =>
          inTransaction(pool, async (client) => {
            const { id } = await createTask(client, {
              tenant: 'default',
              kind,
              subscriptionId: kind === 'replay' ? 5 : 101,
              since: null,
              until: null,
              states: kind === 'replay' ? ['succeeded', 'failed'] : ['pending', 'held'],
              eventTypes: null,
              rate: null,
            });
            let changed = 0;
            // A batch reads a part of history. Replays begin long before the deliveries.
            for (let ended = false; !ended && changed === 0; ) {
              // Time stands still in a transaction.
              await client.query('update posthorn.tasks set due_at = now() where id = $1', [id]);
              const batch = await runBatch(client, id);
              ended = batch?.ended ?? true;
              changed += batch?.changed ?? 0;
            }
            found(id, changed, kind === 'replay' ? 20 : 500);
          }),
      }),
    ),
    {
      what: 'retry a delivery',
      pool: 'general',
      rows: 1,
      days: daysOf(ended),
      run: async (pool) => {
        const [webhook = '', subscription = 0] = [ended.webhooks[0], ended.subscriptions[0]];
        const { rows } = await pool.query<{ tenant: string }>(
          'select tenant from posthorn.subscriptions where id = $1',
          [subscription],
        );
        const refusal = await inTransaction(pool, (client) =>
          retryDelivery(client, rows[0]?.tenant ?? '', webhook, subscription),
        );
        if (refusal !== null) throw new Error(refusal);
      },
    },
  ];
}
