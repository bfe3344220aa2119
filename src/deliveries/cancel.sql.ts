import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import type { DeliveryKeys } from './load.sql.ts';

/** Cancels a delivery whose subscription was deleted while the webhook was being accepted. */
export async function cancelOne(
  pool: pg.Pool,
  webhookId: string,
  subscriptionId: number,
): Promise<void> {
  await pool.query({
    name: 'cancel',
    text: 'select posthorn.cancel_deliveries(array[$1::uuid], array[$2::integer])',
    values: [webhookId, subscriptionId],
  });
}

/**
 * Cancels deliveries that have not ended. The statement is in schema/functions/cancel_deliveries.sql, which
 * posthorn.cancel calls too.
 *
 * @returns how many had not ended.
 */
export async function cancelDeliveries(
  client: Pick<pg.ClientBase, 'query'>,
  { webhooks, subscriptions }: DeliveryKeys,
): Promise<number> {
  if (webhooks.length === 0) return 0;
  const { rows } = await client.query<{ cancelled: number }>(
    'select posthorn.cancel_deliveries($1, $2) as cancelled',
    [plainArray(webhooks), plainArray(subscriptions)],
  );
  return rows[0]?.cancelled ?? 0;
}
