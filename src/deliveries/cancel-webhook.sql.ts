import type pg from 'pg';
import { historyOf } from '../db/history-of-ids.ts';
import { isIn } from '../db/planner.ts';
import { TRANSITIONS } from './states.ts';

/** The deliveries that one statement cancels: a tenth of a second or two. */
const PART = 5_000;
/** A webhook can have a million deliveries; a request that cancels for this long asks to be repeated. */
const LONGEST_MS = 4_000;

/** The deliveries of a webhook after a cancellation. */
export interface CancelledWebhook {
  /** Deliveries that are cancelled, by this request or before. */
  readonly cancelled: number;
  /** Whether there is none of these, but others that had succeeded or failed. */
  readonly ended: boolean;
  /** Whether there may be deliveries that are not cancelled yet: the work was stopped, because it took long. */
  readonly unfinished: boolean;
}

/**
 * Cancels the pending and held deliveries of a webhook, by the statement of every cancellation
 * (schema/functions/cancel_deliveries.sql): up to 5,000 all at once, more in parts.
 *
 * @returns undefined when the tenant has no such webhook.
 */
export async function cancelWebhook(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
): Promise<CancelledWebhook | undefined> {
  const startedAt = performance.now();
  let last: number | null = 0;
  do {
    last = await cancelPart(pool, tenant, webhookId, last);
  } while (last !== null && performance.now() - startedAt < LONGEST_MS);
  const counted = await count(pool, tenant, webhookId);
  return counted && { ...counted, unfinished: last !== null };
}

/** Returns the last subscription whose delivery was looked at, or null if there are no more after it. */
async function cancelPart(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
  after: number,
): Promise<number | null> {
  const days = historyOf([webhookId]);
  const { rows } = await pool.query<{ last: number | null }>({
    ...days.named('cancel-webhook'),
    text: `
      with part as materialized (
        select d.webhook_id, d.subscription_id
        from posthorn.deliveries d
        where d.webhook_id = $1 and ${days.where('d.webhook_id')} and d.subscription_id > $3
          and ${isIn('d', ...TRANSITIONS.cancel.from)}
          and exists (select from posthorn.webhook_payloads where id = $1 and tenant = $2 and ${days.where('id')})
        order by d.subscription_id
        limit ${PART}
      ), cancelled as materialized (
        select posthorn.cancel_deliveries(array_agg(webhook_id), array_agg(subscription_id)) from part
      )
      select case when count(*) = ${PART} then max(subscription_id) end as last from part, cancelled`,
    values: [webhookId, tenant, after],
  });
  return rows[0]?.last ?? null;
}

async function count(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
): Promise<Pick<CancelledWebhook, 'cancelled' | 'ended'> | undefined> {
  const days = historyOf([webhookId]);
  const of = `d.webhook_id = $1 and ${days.where('d.webhook_id')}`;
  const { rows } = await pool.query<{ cancelled: number; ended: boolean }>({
    ...days.named('count-cancelled'),
    text: `
      with cancelled as materialized (
        select count(*)::integer as number
        from posthorn.deliveries d
        -- The first condition is that of an index.
        where ${of} and d.state in ('failed', 'cancelled') and ${isIn('d', 'cancelled')}
      )
      select number as cancelled, number = 0 and exists (
          select from posthorn.deliveries d where ${of} and ${isIn('d', 'succeeded', 'failed')}) as ended
      from cancelled, posthorn.webhook_payloads w
      where w.id = $1 and w.tenant = $2 and ${days.where('w.id')}`,
    values: [webhookId, tenant],
  });
  return rows[0];
}
