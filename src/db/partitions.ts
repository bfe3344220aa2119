import type pg from 'pg';
import { errorCode } from '../lib/errors.ts';

const DAY_MS = 86_400_000;
const DAYS_AHEAD = 7;
/** History has about this many partitions, however long it is kept: planning time grows with their number. */
const MAX_PARTITIONS = 32;
/** A partition covers at most a month, so that history is not kept much longer than its retention. */
const MAX_DAYS_EACH = 31;
/** The reserve of a table covers this many days after its other partitions. */
const RESERVE_DAYS = 100;
/** A table gets a new reserve when everything that is covered ends within this many days. */
const RESERVE_LEFT_DAYS = 50;
const CHECK_VIOLATION = '23514';

const DAYS_SQL = (daysEach: string) => `select posthorn.ensure_partitions(
  (now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + ${DAYS_AHEAD}, ${daysEach}) as made`;
const RESERVE_SQL = `select posthorn.ensure_reserve(${RESERVE_DAYS}, ${RESERVE_LEFT_DAYS}) as made`;

/** What `makePartitions` does for partitions of a day, as statements to print. */
export const PARTITIONS_SQL = `${DAYS_SQL('1')};\n${RESERVE_SQL}`;

/**
 * Creates the missing partitions of history and of idempotency keys: from today to a week ahead, and after
 * them a reserve, which is one long partition. The reserve is used only if no service runs for a week while
 * applications send from SQL. So a sender never has to create a partition itself.
 *
 * @param daysEach how many days a partition of history covers.
 * @returns how many tables were created.
 */
export async function makePartitions(
  client: pg.Pool | pg.ClientBase,
  daysEach: number,
): Promise<number> {
  const days = await client.query<{ made: number }>(DAYS_SQL('$1'), [daysEach]);
  // A statement of its own, so that it sees the partitions of the first.
  const reserves = await client.query<{ made: number }>(RESERVE_SQL);
  return (days.rows[0]?.made ?? 0) + (reserves.rows[0]?.made ?? 0);
}

/**
 * Returns how many days a partition of history covers: a day for a retention of up to 32 days, and 13 days for
 * 400 days.
 */
export function daysEach(longestMs: number): number {
  const days = Math.ceil(longestMs / DAY_MS / MAX_PARTITIONS);
  return Math.min(Math.max(1, days), MAX_DAYS_EACH);
}

/** Returns whether a row was refused because its table has no partition for it. */
export function isWithoutPartition(error: unknown): boolean {
  // The violation of a constraint has the same code, and names the constraint.
  return (
    errorCode(error) === CHECK_VIOLATION &&
    (error as { constraint?: unknown }).constraint === undefined
  );
}
