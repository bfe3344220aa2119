import type pg from 'pg';
import { isTimeout } from '../db/availability.ts';
import { inTransaction } from '../db/transaction.ts';

/** A day is quiet at the earliest when it has been over for this time, because retries follow within hours. */
const QUIET_AFTER = `interval '2 days'`;
/** Statements that lock all partitions wait as long as this one waits for them. */
const LOCK_TIMEOUT = '200ms';

interface Day {
  readonly deliveries: string;
  readonly attempts: string;
  readonly from_at: Date;
  readonly until_at: Date;
}

/**
 * Notes which past partitions have no unfinished deliveries, so that statements leave them out (db/live-history.ts).
 * Each takes milliseconds. If one is in use, the next run goes on.
 *
 * @param goesOn called before each partition; false ends the run.
 */
export async function noteQuietHistory(
  pool: pg.Pool,
  goesOn: () => boolean = () => true,
): Promise<void> {
  const { rows } = await pool.query<Day>(
    `with listed as materialized (
       select * from posthorn.list_partitions() where not detaching and until_at < now() - ${QUIET_AFTER}
     )
     select d.name as deliveries, a.name as attempts, d.from_at, d.until_at
     from listed d
     join listed a on a.parent = 'delivery_attempts' and a.from_at = d.from_at and a.until_at = d.until_at
     where d.parent = 'deliveries'
       and not exists (
         select from posthorn.quiet_history q
         where q.from_at = d.from_at
           and not exists (select from posthorn.woken_history w where w.from_at = q.from_at))
     order by d.from_at desc`,
  );
  for (const { deliveries, attempts, from_at, until_at } of rows) {
    if (!goesOn()) return;
    try {
      await inTransaction(pool, async (client) => {
        await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
        await client.query('select posthorn.note_quiet_history($1, $2, $3, $4)', [
          deliveries,
          attempts,
          from_at,
          until_at,
        ]);
      });
    } catch (error) {
      if (isTimeout(error)) return;
      throw error;
    }
  }
}

/** Forgets that a partition is quiet, before it is detached. */
export async function forgetQuietHistory(client: pg.ClientBase, fromAt: Date): Promise<void> {
  await client.query(
    `with forgotten as (delete from posthorn.woken_history where from_at = $1)
     delete from posthorn.quiet_history where from_at = $1`,
    [fromAt],
  );
}
