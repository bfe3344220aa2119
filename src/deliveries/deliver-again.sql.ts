import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { reopen } from './reopen.sql.ts';

/**
 * Delivers webhooks to a subscription at once, whether it had them before or not. Deliveries that have ended are sent
 * again; unfinished ones that wait for a retry are due now; the others are left as they are.
 *
 * @param client in a transaction.
 * @returns how many are due now and were not before.
 */
export async function deliverAgain(
  client: Pick<pg.ClientBase, 'query'>,
  subscriptionId: number,
  webhookIds: readonly string[],
): Promise<number> {
  if (webhookIds.length === 0) return 0;
  // A new delivery waits for a second, because `reopen` makes one that waits due, in the queue or in the backlog.
  await client.query(
    `with live as materialized (
       -- The lock waits for a deletion, which cancels what it finds.
       select id from posthorn.subscriptions where id = $1 and deleted_at is null for share
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, next_attempt_at, queued)
     select w.id, live.id, now() + interval '1 second', false
     from live cross join unnest($2::uuid[]) as w (id)
     on conflict do nothing`,
    [subscriptionId, plainArray(webhookIds)],
  );
  const { owed } = await reopen(
    client,
    { webhooks: webhookIds, subscriptions: webhookIds.map(() => subscriptionId) },
    ['succeeded', 'failed', 'cancelled', 'pending'],
  );
  return owed;
}
