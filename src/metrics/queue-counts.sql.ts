import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';
import { type HeldReason, heldReasonOf } from '../deliveries/held-reasons.ts';

/** The deliveries that wait. */
export interface QueueCounts {
  /** Deliveries that are due and wait for a worker. */
  readonly due: number;
  /** The time since the oldest of them was due, in seconds; 0 if there is none. */
  readonly oldest_due_s: number;
  readonly held: Readonly<Partial<Record<HeldReason, number>>>;
}

/** More than this is not counted: it takes a tenth of a second already. */
export const MAX_COUNTED = 100_000;

/**
 * Counts the deliveries that wait, of all tenants (history/waiting.sql.ts: of one), up to `MAX_COUNTED` of each kind. Reads only the indexes of
 * unfinished and of held deliveries. The oldest due delivery is found behind all held ones that were due before
 * it, in the index: with a million of those it takes a tenth of a second.
 *
 * The order of the held ones makes Postgres read their index, and `offset 0` looks each subscription up by its id: with
 * fresh statistics it would read both tables as a whole.
 */
export async function countQueue(pool: pg.Pool): Promise<QueueCounts> {
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<QueueCounts>({
    name: `count-queue ${live.key}`,
    text: `
      select
        (select count(*) from (
          select from posthorn.deliveries
          where state = 'pending' and next_attempt_at <= now() and ${live.where('webhook_id')}
          limit ${MAX_COUNTED}) due)::integer as due,
        coalesce((
          select extract(epoch from now() - next_attempt_at)
          from posthorn.deliveries
          where state = 'pending' and next_attempt_at <= now() and ${live.where('webhook_id')}
          order by next_attempt_at
          limit 1), 0)::float8 as oldest_due_s,
        (select coalesce(jsonb_object_agg(reason, deliveries), '{}') from (
          select
            ${heldReasonOf('s')} as reason,
            sum(h.deliveries)::integer as deliveries
          from (
            select subscription_id, count(*) as deliveries
            from (
              select subscription_id from posthorn.deliveries
              where state = 'held' and ${live.where('webhook_id')}
              order by subscription_id, webhook_id
              limit ${MAX_COUNTED}) held
            group by subscription_id) h
          cross join lateral (
            select status, url, circuit_open, ordering, rate_limit, max_in_flight
            from posthorn.subscriptions
            where id = h.subscription_id
            offset 0) s
          group by 1) reasons) as held`,
  });
  return rows[0] as QueueCounts;
}
