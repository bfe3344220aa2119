import type pg from 'pg';
import { daysEach, makePartitions } from '../db/partitions.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** A partition that somebody dropped is missed for this time at most, by applications that send from SQL. */
const MAKE_EVERY_MS = 30_000;

/**
 * Creates the partitions of the coming week that are missing, twice a minute.
 *
 * @param longestMs how long the partitions are kept, with all or with some of their rows.
 */
export function createPartitionMaker(pool: pg.Pool, longestMs: number, loop: Loop): Periodic {
  return createPeriodic({
    everyMs: MAKE_EVERY_MS,
    run: () => makePartitions(pool, daysEach(longestMs)),
    loop,
  });
}
