import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';
import { type HeldReason, heldReasonOf } from '../deliveries/held-reasons.ts';

/** The deliveries of a tenant that wait now, and who is there to send them. */
export interface Waiting {
  /** Deliveries that are due and wait for a worker. */
  readonly due: number;
  readonly oldest_due_at: Date | null;
  /** Whether there may be more that are due. */
  readonly due_more: boolean;
  readonly held: Readonly<Partial<Record<HeldReason, number>>>;
  readonly held_more: boolean;
  readonly workers: number;
}

/** So many unfinished deliveries of all tenants that are due are looked through; held ones are among them. */
const MAX_DUE = 100_000;
/** So many held deliveries are counted, together and of one subscription. */
const MAX_HELD = 100_000;
const MAX_HELD_OF_SUBSCRIPTION = 10_000;
/** A worker renews its row every five or ten seconds (maintenance/worker-beat.sql.ts). */
const WORKER_SEEN_SECONDS = 30;

/**
 * Counts the deliveries that wait. It reads only indexes, and at most as many entries as the constants above say,
 * however long the backlogs are.
 */
export async function readWaiting(pool: pg.Pool, tenant: string): Promise<Waiting> {
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<Waiting>({
    name: `read-waiting ${live.key}`,
    text: `
      with unfinished as materialized (
        select d.state, d.subscription_id, d.next_attempt_at
        from posthorn.deliveries d
        where d.state in ('pending', 'held') and d.next_attempt_at <= now() and ${live.where('d.webhook_id')}
        order by d.next_attempt_at
        limit ${MAX_DUE}
      ), due as (
        select count(*)::integer as number, min(u.next_attempt_at) as oldest
        from unfinished u
        where u.state = 'pending'
          and exists (select from posthorn.subscriptions s where s.id = u.subscription_id and s.tenant = $1)
      ), backlogs as (
        select s.id,
          ${heldReasonOf('s')} as reason
        from posthorn.backlogs b
        join posthorn.subscriptions s on s.id = b.subscription_id
        where s.tenant = $1
      ), held as (
        select reason, (count(*) filter (where nth <= ${MAX_HELD_OF_SUBSCRIPTION}))::integer as number,
          bool_or(nth > ${MAX_HELD_OF_SUBSCRIPTION}) as more
        from (
          select b.reason, d.nth
          from backlogs b
          cross join lateral (
            select row_number() over () as nth
            from posthorn.deliveries d
            where d.subscription_id = b.id and d.state = 'held' and ${live.where('d.webhook_id')}
            limit ${MAX_HELD_OF_SUBSCRIPTION} + 1
          ) d
          limit ${MAX_HELD}
        ) as counted
        group by reason
      )
      select due.number as due, due.oldest as oldest_due_at,
        (select count(*) = ${MAX_DUE} from unfinished) as due_more,
        (select coalesce(jsonb_object_agg(reason, number), '{}') from held) as held,
        (select coalesce(bool_or(more) or sum(number) >= ${MAX_HELD}, false) from held) as held_more,
        (select count(distinct (w.host, w.pid))::integer from posthorn.workers w
          where w.seen_at > clock_timestamp() - interval '${WORKER_SEEN_SECONDS} seconds') as workers
      from due`,
    values: [tenant],
  });
  return rows[0] as Waiting;
}
