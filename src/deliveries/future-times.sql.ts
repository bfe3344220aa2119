import type pg from 'pg';
import { recallLiveHistory } from '../db/live-history.ts';
import { notifyOwners } from './backlogs.sql.ts';
import { stateAllows } from './states.ts';

/** Clocks of hosts that take over from each other may differ by this much. */
const TOLERATED = `interval '1 minute'`;
/** Deliveries that one statement changes. */
export const MAX_MOVED = 5_000;

/** The numbers of rows that were dated in the future, and are due now. */
export interface Moved {
  readonly deliveries: number;
  readonly circuits: number;
  readonly backlogs: number;
  readonly tasks: number;
}

/**
 * Moves due times that the database's clock made while it was ahead, and that would otherwise be reached only
 * when the corrected clock comes there. A time was made then if its cause lies in the future: the acceptance
 * of a webhook whose delivery had no attempt yet, or the last attempt. The delay from the cause stays the same. The
 * time of a scheduled webhook was given by its sender, so it stays.
 */
export async function moveFutureTimes(pool: pg.Pool): Promise<Moved> {
  const live = await recallLiveHistory(pool);
  const { rows } = await pool.query<Moved>({
    name: `move-future-times ${live.key}`,
    text: `
      with accepted as materialized (
        select webhook_id, subscription_id, posthorn.uuidv7_time(webhook_id) as at
        from posthorn.deliveries d
        where webhook_id > posthorn.uuidv7_floor(now() + ${TOLERATED}) and attempt_count = 0
          and state in ('pending', 'held') and next_attempt_at > now() + ${TOLERATED} and ${live.where('webhook_id')}
          and not exists (
            select from posthorn.webhook_payloads p
            where p.id = d.webhook_id and ${live.where('p.id')} and p.deliver_at is not null)
        limit ${MAX_MOVED}
      ), tried as materialized (
        select d.webhook_id, d.subscription_id, a.at
        from posthorn.delivery_attempts a
        join posthorn.deliveries d on d.webhook_id = a.webhook_id and d.subscription_id = a.subscription_id
        where a.at > now() + ${TOLERATED} and d.attempt_count = a.attempt_number
          and d.state in ('pending', 'held') and d.next_attempt_at >= a.at
          and ${live.where('a.webhook_id')} and ${live.where('d.webhook_id')}
        limit ${MAX_MOVED}
      ), moved as (
        update posthorn.deliveries d
        set next_attempt_at = now() + greatest(d.next_attempt_at - early.at, interval '0'),
            -- A worker has it in memory and sends it now: with a job it would be sent twice.
            queued = d.state = 'pending' and d.attempt_count = 0 and d.handed_to is not null
        from (select * from accepted union all select * from tried) as early
        where d.webhook_id = early.webhook_id and d.subscription_id = early.subscription_id
          and ${stateAllows('d', 'correctDue')} and ${live.where('d.webhook_id')}
        returning d.subscription_id, d.state
      ), circuits as (
        update posthorn.circuits
        set failing_since = least(failing_since, now()), last_failed_at = now(),
          opened_at = least(opened_at, now()), probe_at = least(probe_at, now()),
          down_since = least(down_since, now())
        where last_failed_at > now() + ${TOLERATED} or opened_at > now() + ${TOLERATED}
        returning subscription_id
      ), backlogs as (
        update posthorn.backlogs set owned_at = now() where owned_at > now() + ${TOLERATED}
        returning subscription_id
      ), tasks as (
        update posthorn.tasks set due_at = now(), created_at = now()
        where created_at > now() + ${TOLERATED} and state in ('waiting', 'running')
        returning id
      ), workers as (
        -- A living worker renews it anyway; a frozen one is found half a minute later.
        update posthorn.workers set seen_at = now() where seen_at > now() + ${TOLERATED}
      ), told as (
        ${notifyOwners(`(
          select subscription_id from moved where state = 'held'
          union
          select subscription_id from circuits
        ) as changed`)}
      )
      select (select count(*) from moved)::integer as deliveries,
        (select count(*) from circuits)::integer as circuits,
        (select count(*) from backlogs)::integer as backlogs,
        (select count(*) from tasks)::integer as tasks,
        (select count(*) from told) as told`,
  });
  const { deliveries = 0, circuits = 0, backlogs = 0, tasks = 0 } = rows[0] ?? {};
  return { deliveries, circuits, backlogs, tasks };
}
