import type pg from 'pg';
import { POOL_PLANS, planWith } from '../db/planner.ts';
import type { AttemptStatus } from '../db/types.ts';
import { type EndedLease, tellPullers } from '../deliveries/leases.sql.ts';
import { type AttemptResult, recordAttempts } from '../deliveries/record.sql.ts';
import {
  nextDelayMs,
  parseRetrySchedule,
  type RetrySchedule,
} from '../deliveries/retry-schedule.ts';
import type { ErrorCode } from '../sending/classify.ts';

/** How the attempt of a delivery ended that its receiver had pulled. */
export interface LeaseOutcome {
  readonly status: AttemptStatus;
  readonly responseCode: number | null;
  readonly errorCode: ErrorCode | null;
  readonly error: string | null;
  readonly responseExcerpt: string | null;
}

const NO_PHASES = { firstByte: null, dns: null, connect: null, tls: null, body: null };

export interface RecordOptions {
  /** For subscriptions that have no schedule of their own. */
  readonly schedule: RetrySchedule;
  /** Called after each attempt, for metrics. */
  readonly onAttempt: (result: AttemptResult) => void;
}

/**
 * Records the attempts of leases that have ended, in the transaction that ended them. Attempts that failed are retried
 * by the schedule of their subscription, as those that Posthorn sends.
 *
 * @returns the results, to be given to `onAttempt` when the transaction is committed.
 */
export async function recordLeases(
  client: Pick<pg.ClientBase, 'query'>,
  leases: readonly (readonly [EndedLease, LeaseOutcome])[],
  schedule: RetrySchedule,
): Promise<AttemptResult[]> {
  if (leases.length === 0) return [];
  const results = leases.map(([lease, outcome]) => resultOf(lease, outcome, schedule));
  await planWith(client, POOL_PLANS.delivery);
  await recordAttempts(client, results);
  const awaited = leases.filter(([lease]) => lease.awaited);
  await tellPullers(client, [...new Set(awaited.map(([lease]) => lease.subscriptionId))]);
  return results;
}

function resultOf(
  lease: EndedLease,
  outcome: LeaseOutcome,
  schedule: RetrySchedule,
): AttemptResult {
  const { attemptNumber, scheduleOffset, probeCount, strict } = lease;
  const retryInMs =
    outcome.status === 'success'
      ? null
      : nextDelayMs(
          scheduleOf(lease, schedule),
          attemptNumber - scheduleOffset - probeCount,
          Math.random(),
        );
  return {
    ...outcome,
    webhookId: lease.webhookId,
    subscriptionId: lease.subscriptionId,
    attemptNumber,
    durationMs: lease.durationMs,
    // No request was made.
    phases: NO_PHASES,
    timestamp: 0,
    token: lease.token,
    state:
      outcome.status === 'success'
        ? 'succeeded'
        : retryInMs === null
          ? 'failed'
          : strict
            ? 'held'
            : 'pending',
    retryInMs,
    // The worker that holds it when it is due has its body in memory for a moment.
    bytes: 0,
  };
}

/** The row may have been written by SQL, which the API's validation does not see. */
function scheduleOf({ retrySchedule }: EndedLease, schedule: RetrySchedule): RetrySchedule {
  if (retrySchedule === null) return schedule;
  try {
    return parseRetrySchedule(retrySchedule);
  } catch {
    return schedule;
  }
}
