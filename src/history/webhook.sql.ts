import type pg from 'pg';
import { historyOf } from '../db/history-of-ids.ts';
import type { AttemptStatus, DeliveryState } from '../db/types.ts';
import { type AttemptTiming, type RequestColumns, timingOf } from './attempt-timing.ts';
import type { Webhook } from './webhooks.ts';

/** The deliveries of a webhook that are shown. A webhook can have a million. */
export const MAX_DELIVERIES_SHOWN = 100;
/** The attempts of each delivery that are shown. More say nothing new to a person. */
export const MAX_ATTEMPTS_SHOWN = 50;
/** So many deliveries are read to find those that are shown; failed and cancelled ones are found by an index. */
const READ = 1_000;

/** A webhook with what its deliveries need to be understood. */
export interface ShownWebhook extends Webhook {
  readonly headers: Record<string, string> | null;
  readonly unfilterable: boolean;
}

export interface ShownDelivery {
  readonly subscription_id: number;
  readonly subscription_url: string | null;
  readonly state: DeliveryState;
  readonly reason: string | null;
  readonly attempts_made: number;
  readonly next_attempt_at: Date | null;
  readonly ended_at: Date | null;
  /** The newest ones, oldest first. */
  readonly attempts: ShownAttempt[];
}

export interface ShownAttempt {
  /** Null: a request that was sent twice. */
  readonly attempt_number: number | null;
  readonly status: AttemptStatus;
  readonly response_code: number | null;
  readonly response_excerpt: string | null;
  readonly error_code: string | null;
  readonly error: string | null;
  readonly duration_ms: number;
  readonly timing_ms: AttemptTiming;
  readonly webhook_timestamp: number | null;
  readonly timestamp: Date;
}

type AttemptRow = Omit<ShownAttempt, 'timing_ms'> & RequestColumns;
/** A delivery with one of its attempts, or with none. */
type Row = Omit<ShownDelivery, 'attempts'> & (AttemptRow | { readonly timestamp: null });

/** Returns a webhook of the tenant, or undefined if there is none with this id. */
export async function findWebhook(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
): Promise<ShownWebhook | undefined> {
  const days = historyOf([webhookId]);
  const { rows } = await pool.query<ShownWebhook>({
    ...days.named('find-webhook'),
    text: `
      select id as webhook_id, accepted_at, deliver_at, event_type, content_type, headers,
        coalesce(unfilterable, false) as unfilterable, length(body) as bytes, body is null as body_expired
      from posthorn.webhook_payloads
      where id = $1 and tenant = $2 and ${days.where('id')}`,
    values: [webhookId, tenant],
  });
  return rows[0];
}

/**
 * Returns the deliveries of a webhook with their newest attempts. Those that may need somebody come first: failed,
 * waiting after a failed attempt, waiting, cancelled, succeeded. If there are many, only failed and cancelled ones
 * are sure to be among them, up to a thousand of these.
 *
 * @param most deliveries, at most `MAX_DELIVERIES_SHOWN`.
 * @returns `more`: whether the webhook has more deliveries than these.
 */
export async function findDeliveries(
  pool: pg.Pool,
  webhookId: string,
  most: number,
): Promise<{ deliveries: ShownDelivery[]; more: boolean }> {
  const days = historyOf([webhookId]);
  // One statement, so that the deliveries and the attempts are of one moment.
  const { rows } = await pool.query<Row>({
    ...days.named('find-deliveries'),
    text: `
      with first as materialized (
        select * from posthorn.deliveries
        where webhook_id = $1 and ${days.where('webhook_id')}
        order by subscription_id
        limit ${READ}
      ), unsuccessful as materialized (
        -- The condition of an index.
        select * from posthorn.deliveries
        where webhook_id = $1 and ${days.where('webhook_id')} and state in ('failed', 'cancelled')
        order by subscription_id
        limit ${READ}
      ), shown as materialized (
        select *, case
            when state = 'failed' then 0
            when state in ('pending', 'held') then case when attempt_count > 0 then 1 else 2 end
            when state = 'cancelled' then 3
            else 4
          end as rank
        from (
          select * from unsuccessful
          union all
          select * from first where state not in ('failed', 'cancelled')
        ) as found
        order by rank, subscription_id
        limit $2 + 1
      )
      select d.subscription_id, s.url as subscription_url, d.state, d.reason, d.attempt_count as attempts_made,
        d.next_attempt_at, d.ended_at, a.attempt_number, a.status, a.response_code, a.response_excerpt, a.error_code,
        a.error, a.duration_ms, a.first_byte_ms, a.dns_ms, a.connect_ms, a.tls_ms, a.webhook_timestamp,
        a.at as timestamp
      from shown d
      left join posthorn.subscriptions s on s.id = d.subscription_id
      left join lateral (
        select * from posthorn.delivery_attempts
        where webhook_id = $1 and ${days.where('webhook_id')} and subscription_id = d.subscription_id
        -- In the order of the index that finds them.
        order by attempt_number desc
        limit ${MAX_ATTEMPTS_SHOWN}
      ) as a on true
      order by d.rank, d.subscription_id, a.at, a.id`,
    values: [webhookId, most],
  });
  const bySubscription = Map.groupBy(rows, ({ subscription_id }) => subscription_id);
  const deliveries = [...bySubscription.values()].map(
    // A group has at least one row.
    (ofOne) => toDelivery(ofOne[0] as Row, ofOne.flatMap(toAttempt)),
  );
  return { deliveries: deliveries.slice(0, most), more: deliveries.length > most };
}

function toDelivery(row: Row, attempts: ShownAttempt[]): ShownDelivery {
  const { subscription_id, subscription_url, state, reason } = row;
  const { attempts_made, next_attempt_at, ended_at } = row;
  return {
    subscription_id,
    subscription_url,
    state,
    reason,
    attempts_made,
    next_attempt_at,
    ended_at,
    attempts,
  };
}

function toAttempt(row: Row): ShownAttempt[] {
  if (row.timestamp === null) return [];
  const { attempt_number, status, response_code, response_excerpt, error_code, error } = row;
  const { duration_ms, webhook_timestamp, timestamp } = row;
  return [
    {
      attempt_number,
      status,
      response_code,
      response_excerpt,
      error_code,
      error,
      duration_ms,
      timing_ms: timingOf(row),
      webhook_timestamp,
      timestamp,
    },
  ];
}
