import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { endOverdueLeases, hasOverdueLeases } from '../deliveries/leases.sql.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { type RecordOptions, recordLeases } from './record-leases.ts';

/** A look-up in an index of leases, of which there are few. */
const EVERY_MS = 2_000;
/** Leases that end in one transaction. */
const MAX_ENDED = 500;

interface LeaseKeeperOptions extends RecordOptions {
  readonly pool: pg.Pool;
  readonly loop: Loop;
}

/**
 * Ends leases whose time is over: their receiver did not acknowledge the deliveries, so the attempts count as timed
 * out, and others follow by the retry schedule. A delivery that makes its receiver crash is so not pulled without end.
 */
export function createLeaseKeeper(options: LeaseKeeperOptions): Periodic {
  const { pool, schedule, onAttempt, loop } = options;

  async function run(goesOn: () => boolean): Promise<void> {
    while (goesOn() && (await hasOverdueLeases(pool))) {
      const results = await inTransaction(pool, async (client) => {
        const leases = await endOverdueLeases(client, MAX_ENDED);
        const timedOut = leases.map((lease) => [lease, timedOutAfter(lease.durationMs)] as const);
        return await recordLeases(client, timedOut, schedule);
      });
      for (const result of results) onAttempt(result);
      // Others may have had them locked.
      if (results.length === 0) return;
    }
  }

  return createPeriodic({ everyMs: EVERY_MS, run, loop });
}

function timedOutAfter(durationMs: number) {
  return {
    status: 'timeout',
    responseCode: null,
    errorCode: 'lease_ended',
    error: `The receiver pulled it and did not acknowledge it within ${formatDuration(durationMs)}.`,
    responseExcerpt: null,
  } as const;
}
