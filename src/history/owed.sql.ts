import type { LiveHistory } from '../db/live-history.ts';

/**
 * SQL: a row with the numbers of unfinished deliveries, and the oldest that is due.
 *
 * @param live where unfinished deliveries may be.
 * @param has a condition on the subscription of a delivery.
 */
export function selectOwed(live: LiveHistory, has: (subscription: string) => string): string {
  return `
    select
      count(*) filter (where d.attempt_count > 0)::integer as retrying,
      count(*) filter (where d.state = 'held')::integer as held,
      count(*) filter (where d.state = 'pending' and d.next_attempt_at <= now())::integer as queue_depth,
      min(d.next_attempt_at) filter (where d.state = 'pending' and d.next_attempt_at <= now()) as oldest_due_at
    from posthorn.deliveries d
    where d.state in ('pending', 'held') and ${live.where('d.webhook_id')} and ${has('d.subscription_id')}`;
}
