import type pg from 'pg';
import { reopen } from './reopen.sql.ts';

/** The reason why a delivery cannot be tried again. */
export type RetryRefusal =
  | 'unknown'
  | 'subscription deleted'
  | 'body expired'
  | 'too many attempts';

/**
 * Makes one delivery owed at once, in any state: if it has ended, its schedule begins again; if it waits
 * for a retry, it is due now; if it is due or held, it stays unchanged.
 *
 * @param client in a transaction.
 * @returns the reason for a refusal, or null.
 */
export async function retryDelivery(
  client: Pick<pg.ClientBase, 'query'>,
  tenant: string,
  webhookId: string,
  subscriptionId: number,
): Promise<RetryRefusal | null> {
  const { rows } = await client.query<{ refusal: RetryRefusal | null }>(
    'select posthorn.retry_refusal($1, $2, $3) as refusal',
    [webhookId, subscriptionId, [tenant]],
  );
  const refusal = rows[0]?.refusal ?? null;
  if (refusal !== null) return refusal;
  await reopen(client, { webhooks: [webhookId], subscriptions: [subscriptionId] }, [
    'succeeded',
    'failed',
    'cancelled',
    'pending',
  ]);
  return null;
}
