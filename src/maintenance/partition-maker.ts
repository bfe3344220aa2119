import type pg from 'pg';
import { daysEach, makePartitions } from '../db/partitions.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

/** A partition that somebody dropped is missed for this time at most, by applications that send from SQL. */
const MAKE_EVERY_MS = 30_000;

/**
 * Returns a text that changes when a day begins (UTC), and when a partition is created, dropped or detached. That is
 * all on which the missing partitions depend, and their bounds take long to read if there are a thousand.
 */
async function readFingerprint(pool: pg.Pool): Promise<string | null> {
  const { rows } = await pool.query<{ fingerprint: string | null }>({
    name: 'partitions-fingerprint',
    text: `
      select (now() at time zone 'UTC')::date || ' '
        || md5(string_agg(inhparent || ' ' || inhrelid || ' ' || inhdetachpending, ',' order by inhparent, inhrelid)) as fingerprint
      from pg_inherits
      where inhparent in ('posthorn.webhook_payloads'::regclass, 'posthorn.deliveries'::regclass,
        'posthorn.delivery_attempts'::regclass, 'posthorn.idempotency_keys'::regclass)`,
  });
  return rows[0]?.fingerprint ?? null;
}

/**
 * Creates the partitions of the coming week that are missing. It looks twice a minute whether that may be so.
 *
 * @param longestMs how long the partitions are kept, with all or with some of their rows.
 */
export function createPartitionMaker(pool: pg.Pool, longestMs: number, loop: Loop): Periodic {
  /** As it was when no partition was missing. */
  let complete: string | null = null;
  return createPeriodic({
    everyMs: MAKE_EVERY_MS,
    async run() {
      const fingerprint = await readFingerprint(pool);
      if (fingerprint !== null && fingerprint === complete) return;
      const made = await makePartitions(pool, daysEach(longestMs));
      complete = made === 0 ? fingerprint : null;
    },
    loop,
  });
}
