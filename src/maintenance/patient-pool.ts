import { once } from 'node:events';
import type pg from 'pg';
import { createPool } from '../db/pool.ts';

/** For an index of a partition, for waiting until nobody uses an expired one, and for counting and deleting very many rows. */
const PATIENT_MS = 10 * 60_000;

/**
 * Runs work on a connection of its own, since its statements may take longer than those of other pools. A stop
 * does not wait for it: the next run continues where it was interrupted.
 *
 * @param ending aborts when a stop can wait no longer.
 */
export async function withPatientPool(
  databaseUrl: string,
  purpose: string,
  ending: AbortSignal,
  work: (pool: pg.Pool) => Promise<unknown>,
): Promise<void> {
  const pool = createPool({
    connectionString: databaseUrl,
    purpose,
    max: 1,
    timeoutMs: PATIENT_MS,
  });
  await Promise.race([work(pool).finally(() => pool.end()), once(ending, 'abort')]);
}
