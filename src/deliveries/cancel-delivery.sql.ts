import type pg from 'pg';
import { historyOf } from '../db/history-of-ids.ts';
import { isIn } from '../db/planner.ts';
import { TRANSITIONS } from './states.ts';

/** The longest time that a request can be open: that of the setting, and of a subscription. */
const LONGEST_REQUEST = '5 minutes';

/** A delivery after a cancellation. */
export interface CancelledDelivery {
  /** False: it had succeeded or failed. */
  readonly cancelled: boolean;
  /** It was due when it was cancelled, so a request of it may be open. */
  readonly requestMayBeOpen: boolean;
}

/**
 * Cancels a delivery that is pending or held, by the statement of every cancellation
 * (schema/functions/cancel_deliveries.sql). A delivery that is cancelled already stays as it is.
 *
 * @returns undefined when the tenant has no such delivery.
 */
export async function cancelDelivery(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
  subscriptionId: number,
): Promise<CancelledDelivery | undefined> {
  const days = historyOf([webhookId]);
  const { rows } = await pool.query<{
    cancelled: boolean;
    was_cancelled: boolean;
    was_due: boolean;
    ended_lately: boolean;
  }>({
    ...days.named('cancel-delivery'),
    text: `
      with found as materialized (
        select d.webhook_id, d.subscription_id, d.ended_at, d.next_attempt_at,
          ${isIn('d', ...TRANSITIONS.cancel.from)} as is_owed, ${isIn('d', 'cancelled')} as is_cancelled
        from posthorn.deliveries d
        join posthorn.subscriptions s on s.id = d.subscription_id
        where d.webhook_id = $1 and d.subscription_id = $2 and s.tenant = $3 and ${days.where('d.webhook_id')}
      )
      select
        is_owed and posthorn.cancel_deliveries(array[webhook_id], array[subscription_id]) = 1 as cancelled,
        is_cancelled as was_cancelled,
        coalesce(next_attempt_at <= now(), false) as was_due,
        coalesce(ended_at > now() - interval '${LONGEST_REQUEST}', false) as ended_lately
      from found`,
    values: [webhookId, subscriptionId, tenant],
  });
  const [row] = rows;
  if (row === undefined) return undefined;
  const { cancelled, was_cancelled, was_due, ended_lately } = row;
  return {
    cancelled: cancelled || was_cancelled,
    requestMayBeOpen: was_cancelled ? ended_lately : was_due,
  };
}
