import type pg from 'pg';
import { MAX_ATTEMPTS, reopen } from './reopen.sql.ts';

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
  const { rows } = await client.query<{ deleted: boolean; expired: boolean; attempts: number }>(
    `select s.deleted_at is not null as deleted, p.body is null as expired, d.attempt_count as attempts
     from posthorn.deliveries d
     join posthorn.subscriptions s on s.id = d.subscription_id
     join posthorn.webhook_payloads p on p.id = d.webhook_id
     where d.webhook_id = $1 and d.subscription_id = $2 and p.id = $1 and s.tenant = $3`,
    [webhookId, subscriptionId, tenant],
  );
  const [delivery] = rows;
  if (delivery === undefined) return 'unknown';
  if (delivery.deleted) return 'subscription deleted';
  if (delivery.expired) return 'body expired';
  if (delivery.attempts >= MAX_ATTEMPTS) return 'too many attempts';
  await reopen(client, { webhooks: [webhookId], subscriptions: [subscriptionId] }, [
    'succeeded',
    'failed',
    'cancelled',
    'pending',
  ]);
  return null;
}
