import type pg from 'pg';
import type { Session } from '../db/session.ts';
import { inTransaction } from '../db/transaction.ts';
import { endOverdueLeases, lookAtLeases, PULLS } from '../deliveries/leases.sql.ts';
import { formatDuration } from '../lib/duration.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';
import { type RecordOptions, recordLeases } from './record-leases.ts';

/** A look-up in an index of leases, of which there are few. */
const EVERY_MS = 2_000;
/** An idle process should cost the database little: while nobody pulls and nothing is leased, it looks this often. */
const SELDOM_MS = 60_000;
/** Each process is notified of a subscription that is pulled at most every ten seconds. */
const PULLING_MS = 15_000;
/** Leases that end in one transaction. */
const MAX_ENDED = 500;

interface LeaseKeeperOptions extends RecordOptions {
  readonly pool: pg.Pool;
  /** Must not be started yet. */
  readonly session: Pick<Session, 'listen' | 'onConnect'>;
  readonly loop: Loop;
}

/**
 * Ends leases whose time is over: their receiver did not acknowledge the deliveries, so the attempts count as timed
 * out, and others follow by the retry schedule. A delivery that makes its receiver crash is so not pulled without end.
 */
export function createLeaseKeeper(options: LeaseKeeperOptions): Periodic {
  const { pool, session, schedule, onAttempt, loop } = options;
  /** Somebody pulls, or may have done so without a notification, until then. */
  let pulledUntil = performance.now() + PULLING_MS;
  /** When it looks even if nobody pulls. */
  let lookAt = 0;

  async function run(goesOn: () => boolean): Promise<void> {
    const now = performance.now();
    if (now > pulledUntil && now < lookAt) return;
    for (;;) {
      const { some, overdue } = await lookAtLeases(pool);
      lookAt = some ? 0 : performance.now() + SELDOM_MS;
      if (!overdue || !goesOn()) return;
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

  const periodic = createPeriodic({ everyMs: EVERY_MS, run, loop });
  session.listen(PULLS, () => {
    pulledUntil = performance.now() + PULLING_MS;
  });
  session.onConnect(async () => {
    pulledUntil = performance.now() + PULLING_MS;
  });
  return periodic;
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
