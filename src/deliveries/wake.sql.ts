import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import { recallLiveHistory } from '../db/live-history.ts';
import { BATCH_PLANS, isAmong, planWith } from '../db/planner.ts';
import { inTransaction } from '../db/transaction.ts';
import { addJobsOf } from './jobs.sql.ts';
import { NEAR_MS } from './record.sql.ts';
import { stateAllows } from './states.ts';

/** Deliveries that get their jobs in one transaction. */
const MAX_WOKEN = 5_000;
/** If a tenant has more deliveries than this that are due soon, they go behind all others. */
const BULK_FROM = 500;

/** The result of one round. */
export interface Woken {
  /** Deliveries that were given a job. */
  readonly woken: number;
  /** The deliveries among these whose job had been lost. */
  readonly lost: number;
  /** Until those jobs are due. */
  readonly wakeInMs: readonly number[];
  /** There may be more deliveries without a job. */
  readonly more: boolean;
}

/**
 * Adds jobs for deliveries that are due soon and have none: retries that were too far off when they
 * were recorded, scheduled webhooks, and deliveries whose job was lost for any reason.
 *
 * A job counts as lost when its delivery is overdue by `lostAfterMs` and the time of an attempt
 * (`timeoutMs`, or the longest time limit of a subscription), and all jobs that wait in the queue or were
 * taken from it within that time are due later: its own job was taken before, and its attempt
 * would have ended long ago. Should that job appear after all, the attempt's number makes one of the
 * two stale.
 *
 * One process at a time does it; for another that asks meanwhile the result is empty. Both scans are of
 * partial indexes in the order of time: `deliveries_unqueued` holds only far retries and scheduled deliveries, and of
 * `deliveries_owed` only overdue pending deliveries are read.
 */
export async function wakeDeliveries(
  pool: pg.Pool,
  lostAfterMs: number,
  timeoutMs: number,
): Promise<Woken> {
  const live = await recallLiveHistory(pool);
  const statement = {
    name: `wake ${live.key}`,
    text: `
      with mine as materialized (
        select pg_try_advisory_xact_lock(${LOCKS.wake}) as yes
      ), bound as materialized (
        select now() - ($2 + greatest($4, (
            select max(timeout_ms) from posthorn.subscriptions where timeout_ms is not null and deleted_at is null
          ))) * interval '1 millisecond' as earliest
      ), queue as materialized (
        -- A job is due with the last of its deliveries, a second after the first at most.
        select coalesce(min(run_at) - interval '2 seconds', 'infinity') as oldest
        from graphile_worker.jobs
        where task_identifier = 'deliver'
          and (locked_at is null or locked_at > (select earliest from bound))
      ), due as materialized (
        (select webhook_id, subscription_id, false as lost
          from posthorn.deliveries
          where (select yes from mine) and state = 'pending' and not queued and ${live.where('webhook_id')}
            and next_attempt_at <= now() + $1 * interval '1 millisecond'
          order by next_attempt_at
          limit $3)
        union all
        (select webhook_id, subscription_id, true
          from posthorn.deliveries
          where (select yes from mine) and state = 'pending' and queued and ${live.where('webhook_id')}
            -- As a scalar, so that the index is read no further than that.
            and next_attempt_at
              < least((select oldest from queue), (select earliest from bound))
          order by next_attempt_at
          limit $3)
      ), woken as (
        update posthorn.deliveries d
        set queued = true,
            handed_to = null,
            -- Due again from now on, so that it is not taken for lost again at once.
            next_attempt_at = case when due.lost then now() else d.next_attempt_at end
        from due
        where d.webhook_id = due.webhook_id and d.subscription_id = due.subscription_id
          and ${stateAllows('d', 'wake')} and ${isAmong('d.webhook_id', 'select webhook_id from due')}
          and ${live.where('d.webhook_id')}
        returning d.webhook_id, d.subscription_id, d.attempt_count, d.next_attempt_at, due.lost
      ), ${addJobsOf(
        `
            -- Due within a second of each other: they have waited for a minute at least.
            select woken.*, length(p.body) as bytes, date_trunc('second', next_attempt_at) as step,
              count(*) over (partition by p.tenant) as of_tenant
            from woken
            join posthorn.webhook_payloads p on p.id = woken.webhook_id
              and ${isAmong('p.id', 'select webhook_id from woken')} and ${live.where('p.id')}`,
        `of_tenant > ${BULK_FROM}`,
      )}
      select
        (select count(*) from woken)::integer as woken,
        (select count(*) from woken where lost)::integer as lost,
        (select array_agg(greatest(0, ceil(extract(epoch from run_at - now()) * 1000))::integer) from jobs)
          as wake_in_ms,
        (select jobs from added) as jobs`,
    values: [NEAR_MS, lostAfterMs, MAX_WOKEN, timeoutMs],
  };
  const { rows } = await inTransaction(pool, async (client) => {
    await planWith(client, BATCH_PLANS.changing);
    return await client.query<{ woken: number; lost: number; wake_in_ms: number[] | null }>(
      statement,
    );
  });
  const [row] = rows;
  const woken = row?.woken ?? 0;
  return {
    woken,
    lost: row?.lost ?? 0,
    wakeInMs: row?.wake_in_ms ?? [],
    more: woken >= MAX_WOKEN,
  };
}
