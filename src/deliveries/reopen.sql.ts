import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import { plainArray } from '../db/arrays.ts';
import { bounds, isOneOf } from '../db/planner.ts';
import type { DeliveryState } from '../db/types.ts';
import { markBacklogs, notifyOwners } from './backlogs.sql.ts';
import { addJobsOf } from './jobs.sql.ts';
import type { DeliveryKeys } from './load.sql.ts';
import { stateAllows } from './states.ts';

/**
 * A delivery with more attempts is not made owed again: they are counted in a smallint, and only a
 * faulty loop makes so many.
 */
export const MAX_ATTEMPTS = 30_000;

/** More than so many at once get jobs of low priority, behind new webhooks. */
const BULK_FROM = 25;

/** The result of making deliveries owed again. */
export interface Reopened {
  /** Deliveries that are due now and were not before. */
  readonly owed: number;
}

/**
 * Makes deliveries owed at once that have ended in one of `states`; with `pending` among these, also
 * those that wait for their next attempt. They go on counting their attempts, and the start of the new
 * schedule is stored as an offset, so that history has no gaps and no number twice.
 *
 * Deliveries whose subscription is deleted or whose body is gone are skipped. No body expires between
 * being seen here and the commit: erasing bodies takes the same lock (maintenance/erase-bodies.ts). A lock on
 * the bodies' rows would write to each of their pages.
 *
 * Deliveries that go through a backlog are held, as intake does it, and the backlog's owner is notified.
 *
 * @param client in a transaction.
 */
export async function reopen(
  client: Pick<pg.ClientBase, 'query'>,
  { webhooks, subscriptions }: DeliveryKeys,
  states: readonly DeliveryState[],
): Promise<Reopened> {
  if (webhooks.length === 0) return { owed: 0 };
  const priority = webhooks.length > BULK_FROM ? 1 : 0;
  // A statement of its own, so that the next one sees what was committed before it was granted.
  await client.query(`select pg_advisory_xact_lock_shared(${LOCKS.bodies})`);
  const { rows } = await client.query<{ owed: number }>(
    `
      with bodies as materialized (
        select id, length(body) as bytes
        from posthorn.webhook_payloads
        where ${isOneOf('id', 1, 3)} and body is not null
      ), owed as (
        update posthorn.deliveries d
        set state = case when s.through_backlog then 'held' else 'pending' end::posthorn.delivery_state,
            next_attempt_at = now(),
            ended_at = null,
            reason = null,
            queued = not s.through_backlog,
            handed_to = null,
            -- Probes used up nothing of the schedule, before it begins again or after.
            schedule_offset = case d.state when 'pending' then d.schedule_offset
              else d.attempt_count - d.probe_count end
        from unnest($1::uuid[], $2::integer[]) as k (webhook_id, subscription_id)
        join bodies b on b.id = k.webhook_id
        join posthorn.subscriptions s on s.id = k.subscription_id and s.deleted_at is null
          -- A hash join alone would read all subscriptions.
          and s.id = any($2::integer[])
        where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
          and ${isOneOf('d.webhook_id', 1, 3)}
          and ${stateAllows('d', 'reopen')} and d.state = any($5::posthorn.delivery_state[])
          -- A delivery that is due already has its job.
          and (d.state <> 'pending' or d.next_attempt_at > now())
          and d.attempt_count < ${MAX_ATTEMPTS}
        returning d.webhook_id, d.subscription_id, d.attempt_count, d.next_attempt_at, d.state, b.bytes
      ), backlogs as (${markBacklogs(`owed where state = 'held'`)}
      ), told as (${notifyOwners('backlogs')}
      ), ${addJobsOf(`select *, 0 as step from owed where state = 'pending'`, priority)}
      select
        (select count(*) from owed)::integer as owed,
        (select count(*) from told) as told,
        (select jobs from added) as jobs`,
    [plainArray(webhooks), plainArray(subscriptions), ...bounds(webhooks), plainArray(states)],
  );
  return { owed: rows[0]?.owed ?? 0 };
}
