import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { readLiveHistory } from '../db/live-history.ts';
import { addJobsOf } from './jobs.sql.ts';
import type { DeliveryKeys } from './load.sql.ts';
import { stateAllows } from './states.ts';

const NAME = 'hand-over-';
/** SQL pattern of the names in `posthorn.workers` of the workers that deliveries are handed over to. */
export const HAND_OVER_NAMES = `${NAME}%`;

/** Returns the name in `posthorn.workers` of the worker whose number is in `deliveries.handed_to`. */
export function handOverName(worker: number): string {
  return `${NAME}${worker}`;
}

/** Returns the numbers of those of the names that are of workers that deliveries are handed over to. */
export function handOverNumbers(names: readonly string[]): number[] {
  return names
    .filter((name) => name.startsWith(NAME))
    .map((name) => Number(name.slice(NAME.length)));
}

/**
 * Adds jobs for the deliveries that were handed over to workers and have not been sent, so that any worker sends
 * them. Only deliveries that were accepted from ten minutes before the worker's last sign of life on are looked at:
 * no delivery is in memory for so long, except while the database is away, and an hour of deliveries in the queue
 * takes too long to read. A delivery that is not found here counts as a lost delivery (wake.sql.ts).
 *
 * @param workers the numbers of the workers.
 * @param keep deliveries that stay as they are.
 * @returns the number of deliveries.
 */
export async function requeueHandedOver(
  pool: pg.Pool,
  workers: readonly number[],
  keep: DeliveryKeys = { webhooks: [], subscriptions: [] },
): Promise<number> {
  if (workers.length === 0) return 0;
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<{ requeued: number }>({
    name: `requeue-handed-over ${live.key}`,
    text: `
      with seen as materialized (
        select coalesce(min(seen_at), now()) as first, coalesce(max(seen_at), now()) as last
        from posthorn.workers
        where pool_id = any($3)
      ), requeued as (
        update posthorn.deliveries d
        set handed_to = null
        -- The state as it is in the index, which then passes over a backlog of held deliveries.
        where d.state = 'pending' and ${stateAllows('d', 'wake')} and ${live.where('d.webhook_id')}
          and d.handed_to = any($1::integer[]) and d.attempt_count = 0
          and d.next_attempt_at > (select first from seen) - interval '10 minutes'
          and d.next_attempt_at < (select last from seen) + interval '1 minute'
          and (d.webhook_id, d.subscription_id) not in (select * from unnest($2::uuid[], $4::integer[]))
        returning d.webhook_id, d.subscription_id, d.attempt_count, d.next_attempt_at
      ), ${addJobsOf(`
            select requeued.*, length(p.body) as bytes, date_trunc('second', next_attempt_at) as step
            from requeued
            join posthorn.webhook_payloads p on p.id = requeued.webhook_id and ${live.where('p.id')}`)}
      select (select count(*) from requeued)::integer as requeued, (select jobs from added) as jobs`,
    values: [
      plainArray(workers),
      plainArray(keep.webhooks),
      workers.map(handOverName),
      plainArray(keep.subscriptions),
    ],
  });
  return rows[0]?.requeued ?? 0;
}

/** Returns whether all transactions before this one have ended. */
export async function haveEnded(pool: pg.Pool, transaction: string): Promise<boolean> {
  const { rows } = await pool.query<{ ended: boolean }>(
    'select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as ended',
    [transaction],
  );
  return rows[0]?.ended === true;
}
