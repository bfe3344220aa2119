import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { bounds, isOneOf } from '../db/planner.ts';
import { notifyOwners } from './backlogs.sql.ts';
import type { DeliveryKeys } from './load.sql.ts';
import { stateAllows } from './states.ts';

/**
 * SQL that cancels deliveries which have not ended. Every cancellation is this statement.
 *
 * @param keys SQL that gives webhook_id and subscription_id, in this order.
 * @param transition `skip` stores the reason `skipped`.
 */
export function cancelling(keys: string, transition: 'cancel' | 'skip'): string {
  return `
    update posthorn.deliveries d
    set state = 'cancelled',
        reason = ${transition === 'skip' ? `'skipped'` : 'null'},
        ended_at = now(),
        next_attempt_at = null
    from ${keys} as k (webhook_id, subscription_id)
    where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
      and ${stateAllows('d', transition)}`;
}

const GIVEN = `
  ${cancelling('unnest($1::uuid[], $2::integer[])', 'cancel')}
    and ${isOneOf('d.webhook_id', 1, 3)}`;

function valuesOf({ webhooks, subscriptions }: DeliveryKeys): unknown[] {
  return [plainArray(webhooks), plainArray(subscriptions), ...bounds(webhooks)];
}

/** Cancels a delivery whose subscription was deleted while the webhook was being accepted. */
export async function cancelOne(
  pool: pg.Pool,
  webhookId: string,
  subscriptionId: number,
): Promise<void> {
  await pool.query({
    name: 'cancel',
    text: GIVEN,
    values: valuesOf({ webhooks: [webhookId], subscriptions: [subscriptionId] }),
  });
}

/**
 * Cancels deliveries, and notifies the owners of their backlogs: with strict order, a cancelled delivery
 * that waited for its retry no longer holds up others.
 *
 * @returns how many had not ended.
 */
export async function cancelDeliveries(
  client: Pick<pg.ClientBase, 'query'>,
  keys: DeliveryKeys,
): Promise<number> {
  if (keys.webhooks.length === 0) return 0;
  const { rows } = await client.query<{ cancelled: number }>(
    `with cancelled as (
       ${GIVEN}
       returning d.subscription_id
     ), told as (${notifyOwners('cancelled join posthorn.backlogs using (subscription_id)')}
     )
     select (select count(*) from cancelled)::integer as cancelled, (select count(*) from told)`,
    valuesOf(keys),
  );
  return rows[0]?.cancelled ?? 0;
}
