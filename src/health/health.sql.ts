import type pg from 'pg';
import type { SubscriptionStatus } from '../db/types.ts';

/** A row of the view `subscription_health`, without the columns that read a whole day. */
export interface HealthRow {
  readonly subscription_id: number;
  readonly status: SubscriptionStatus;
  readonly status_reason: string | null;
  readonly circuit: 'closed' | 'open' | 'half_open';
  readonly failing_since: Date | null;
  readonly failures: number | null;
  readonly opened_at: Date | null;
  readonly next_probe_at: Date | null;
  readonly held: number;
  readonly held_more: boolean;
  readonly oldest_held_at: Date | null;
  readonly in_flight: number;
  readonly recent_attempts: number;
  readonly recent_success_rate: number | null;
  readonly attempts_per_second: number;
  readonly recent_error_at: Date | null;
  readonly recent_error_code: string | null;
  readonly recent_error: string | null;
}

/**
 * Reads the health of a subscription. The cost is bounded for any backlog and history: 10,001 entries of
 * the index of held deliveries, the newest 1,000 attempts, and a row per worker.
 *
 * @returns undefined when the tenant has no subscription of that id.
 */
export async function subscriptionHealth(
  pool: pg.Pool,
  tenant: string,
  subscriptionId: number,
): Promise<HealthRow | undefined> {
  const { rows } = await pool.query<HealthRow>({
    name: 'subscription-health',
    text: `
      select subscription_id, status, status_reason, circuit, failing_since, failures, opened_at, next_probe_at,
        held, held_more, oldest_held_at, in_flight,
        recent_attempts, recent_success_rate::float8, attempts_per_second::float8,
        recent_error_at, recent_error_code, recent_error
      from posthorn.subscription_health
      where subscription_id = $1 and tenant = $2`,
    values: [subscriptionId, tenant],
  });
  return rows[0];
}

/** Counts of subscriptions that do not get their deliveries. */
export interface ReceiverCounts {
  /** Active, and their attempts have failed several times since the last success. */
  readonly failing: number;
  /** The receivers among these whose circuit is open. */
  readonly open: number;
  readonly disabled: number;
}

/** Counts the subscriptions that are not well. It reads only these. */
export async function receiverCounts(pool: pg.Pool): Promise<ReceiverCounts> {
  const { rows } = await pool.query<ReceiverCounts>({
    name: 'receiver-counts',
    text: `
      select
        count(*)::integer as failing,
        count(c.opened_at)::integer as open,
        (select count(*) from posthorn.subscriptions
          where status = 'disabled' and deleted_at is null)::integer as disabled
      from posthorn.circuits c
      join posthorn.subscriptions s on s.id = c.subscription_id
      where s.status = 'active' and s.deleted_at is null`,
  });
  return rows[0] as ReceiverCounts;
}
