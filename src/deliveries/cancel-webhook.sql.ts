import type pg from 'pg';
import { historyOf } from '../db/history-of-ids.ts';
import { isIn } from '../db/planner.ts';
import { TRANSITIONS } from './states.ts';

/** The deliveries of a webhook after a cancellation. */
export interface CancelledWebhook {
  /** Deliveries that are cancelled, by this request or before. */
  readonly cancelled: number;
  /** Deliveries that had succeeded or failed. */
  readonly ended: number;
}

/**
 * Cancels the pending and held deliveries of a webhook, all at once, by the statement of every cancellation
 * (schema/functions/cancel_deliveries.sql).
 *
 * @returns undefined when the tenant has no such webhook.
 */
export async function cancelWebhook(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
): Promise<CancelledWebhook | undefined> {
  const days = historyOf([webhookId]);
  const { rows } = await pool.query<CancelledWebhook & { known: boolean }>({
    ...days.named('cancel-webhook'),
    text: `
      with webhook as materialized (
        select id from posthorn.webhook_payloads where id = $1 and tenant = $2 and ${days.where('id')}
      ), found as materialized (
        select d.webhook_id, d.subscription_id, ${isIn('d', ...TRANSITIONS.cancel.from)} as is_owed,
          ${isIn('d', 'cancelled')} as is_cancelled
        from posthorn.deliveries d
        where d.webhook_id = $1 and ${days.where('d.webhook_id')} and exists (select from webhook)
      )
      select exists (select from webhook) as known,
        coalesce((select posthorn.cancel_deliveries(array_agg(webhook_id), array_agg(subscription_id))
          from found where is_owed), 0) + (select count(*) from found where is_cancelled)::integer as cancelled,
        (select count(*) from found where not is_owed and not is_cancelled)::integer as ended`,
    values: [webhookId, tenant],
  });
  const [row] = rows;
  return row?.known ? { cancelled: row.cancelled, ended: row.ended } : undefined;
}
