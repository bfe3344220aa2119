import type pg from 'pg';
import type { Logger } from 'pino';
import { errorCode } from '../lib/errors.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

const DAYS_AHEAD = 7;
const LOCK_NOT_AVAILABLE = '55P03';

export interface PartitionKeeperOptions {
  readonly pool: pg.Pool;
  /** How long history is kept. */
  readonly retentionMs: number;
  readonly loop: Loop;
  readonly log: Logger;
}

/** Keeps the partitions of days (`keepPartitions`) when an hourly job runs it. */
export function createPartitionKeeper(options: PartitionKeeperOptions): Periodic {
  const { pool, retentionMs, loop, log } = options;
  return createPeriodic({ run: () => keepPartitions(pool, retentionMs, log), loop });
}

/**
 * Creates the partitions of the coming week and drops whole days that are past the retention, but none
 * that still has an owed delivery. A day that cannot be locked quickly is left for the next run.
 * Idempotency keys are kept for 24 hours and dropped a day at a time too.
 */
export async function keepPartitions(
  pool: pg.Pool,
  retentionMs: number,
  log: Logger,
): Promise<void> {
  await pool.query(
    `select posthorn.ensure_partitions((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + $1::integer)`,
    [DAYS_AHEAD],
  );
  await keepIdempotencyKeys(pool, log);
  const { rows } = await pool.query<{ day: string; owed: boolean }>(
    `select day::text, owed from posthorn.droppable_days($1 * interval '1 millisecond')`,
    [retentionMs],
  );
  for (const { day, owed } of rows) {
    if (owed) {
      log.warn({ day }, 'history kept past its retention: deliveries of that day are still owed');
      continue;
    }
    try {
      await pool.query('select posthorn.drop_partitions($1::date)', [day]);
      log.info({ day }, 'history dropped');
    } catch (error) {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
      log.info({ day }, 'history is in use; it will be dropped later');
    }
  }
}

async function keepIdempotencyKeys(pool: pg.Pool, log: Logger): Promise<void> {
  await pool.query(
    `select posthorn.ensure_idempotency_partitions((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + $1::integer)`,
    [DAYS_AHEAD],
  );
  try {
    await pool.query('select posthorn.drop_idempotency_partitions()');
  } catch (error) {
    if (errorCode(error) !== LOCK_NOT_AVAILABLE) throw error;
    log.info('idempotency keys are in use; they will be dropped later');
  }
}
