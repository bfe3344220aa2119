import type pg from 'pg';
import { detach } from './detach-partition.ts';
import { isEmpty, partitions } from './partition-list.sql.ts';

const DAY_MS = 86_400_000;
/** A reserve that begins within this time is replaced by shorter partitions. */
const NEAR_DAYS = 3;

/**
 * Removes the reserve of a table (db/partitions.ts) when its time comes near, so that shorter partitions can
 * be created for that time. It is still empty, unless the database's clock was days ahead: then it stays.
 *
 * @returns whether it removed one.
 */
export async function replaceReserves(
  client: pg.PoolClient,
  daysOfHistory: number,
): Promise<boolean> {
  const near = (await partitions(client)).filter(({ parent, from_at, until_at }) => {
    const days = parent === 'idempotency_keys' ? 1 : daysOfHistory;
    const inMs = from_at.getTime() - Date.now();
    return (
      inMs > DAY_MS / 2 &&
      inMs < NEAR_DAYS * DAY_MS &&
      until_at.getTime() - from_at.getTime() > days * DAY_MS
    );
  });
  let removed = false;
  for (const partition of near) {
    if (!(await isEmpty(client, partition.name))) continue;
    await detach(client, partition, false);
    removed = true;
  }
  return removed;
}
