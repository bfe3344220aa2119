import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { isUnavailable } from '../db/availability.ts';
import { inTransaction } from '../db/transaction.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { KEPT_FAILURES, mergeWatchFailures } from './watch-failures.ts';

/** Seldom, since an idle process should cost the database little. */
const EVERY_MS = 60_000;
/** A backfill whose next portion is due later leaves the others their turn. */
const SOON_MS = 1_000;
/** Errors of a transaction that is to be tried again: a conflict with another transaction. */
const CONFLICTS = ['40001', '40P01', '55P03'];

export interface BackfillSenderOptions {
  readonly pool: pg.Pool;
  readonly loop: Loop;
  readonly log: Logger;
}

/**
 * Sends the existing rows of watched tables (`posthorn.backfill`), a portion in a transaction. The rights of the
 * table's owner must include those of this process: then what the owner wrote into conditions and types runs here with
 * no right that the owner lacks. The owner of another table calls `posthorn.send_backfill`.
 */
export function createBackfillSender({ pool, loop, log }: BackfillSenderOptions): Periodic {
  return createPeriodic({
    everyMs: EVERY_MS,
    loop,
    async run(goesOn) {
      for (;;) {
        const { due, hasManyFailures } = await lookAtWatches(pool);
        if (hasManyFailures) await mergeWatchFailures(pool);
        let sent = false;
        for (const { id, in_ms } of due) {
          if (!goesOn()) return;
          if (in_ms <= 0) sent = (await sendPortion(pool, id, log)) || sent;
        }
        const nextMs = Math.min(...due.map(({ in_ms }) => in_ms));
        if (!goesOn() || nextMs > SOON_MS) return;
        if (nextMs > 0) await sleep(nextMs);
        // Other processes are sending them, or they have ended.
        else if (!sent) return;
      }
    },
  });
}

/** Deletes backfills that ended longer than `keepMs` ago. */
export async function forgetBackfills(pool: pg.Pool, keepMs: number): Promise<void> {
  await pool.query(
    `delete from posthorn.backfill_runs where ended_at < now() - $1 * interval '1 millisecond'`,
    [keepMs],
  );
}

/** Reads in one statement, because an idle process does it too, which backfills are due soon, and whether there are many failures. */
async function lookAtWatches(
  pool: pg.Pool,
): Promise<{ due: { id: number; in_ms: number }[]; hasManyFailures: boolean }> {
  const { rows } = await pool.query<{ id: number | null; in_ms: number; many: boolean }>({
    name: 'look-at-watches',
    text: `
      select due.id, due.in_ms, failures.many
      from (select exists (select from posthorn.watch_failures offset ${2 * KEPT_FAILURES}) as many) as failures
      left join (
        select b.id, ceil(extract(epoch from b.due_at - clock_timestamp()) * 1000)::integer as in_ms
        from posthorn.backfill_runs b
        join pg_roles r on r.rolname = b.owner
        where b.state in ('waiting', 'running') and b.due_at < now() + interval '1 minute'
          and pg_has_role(r.oid, current_user, 'usage')
        order by b.due_at
        limit 20) as due on true`,
  });
  return {
    due: rows.flatMap(({ id, in_ms }) => (id === null ? [] : [{ id, in_ms }])),
    hasManyFailures: rows[0]?.many === true,
  };
}

/** Returns false if the backfill has ended or failed, or another process is sending it. */
async function sendPortion(pool: pg.Pool, id: number, log: Logger): Promise<boolean> {
  try {
    return await inTransaction(pool, async (client) => {
      const { rows } = await client.query<{ pause: number | null }>(
        'select posthorn.send_backfill($1) as pause',
        [id],
      );
      return rows[0]?.pause !== null;
    });
  } catch (error) {
    if (isUnavailable(error) || CONFLICTS.includes(errorCode(error) ?? '')) throw error;
    log.error({ err: error, backfill: id }, 'a backfill failed');
    await pool.query(
      `update posthorn.backfill_runs set state = 'failed', ended_at = now(), error = $2
       where id = $1 and state in ('waiting', 'running')`,
      [id, errorMessage(error)],
    );
    return false;
  }
}
