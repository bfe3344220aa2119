import { parseRetrySchedule, type RetrySchedule } from '../deliveries/retry-schedule.ts';
import { expiryMs } from '../maintenance/expire-held.ts';
import type { Facts } from './facts.sql.ts';

/** An attempt, counted over the life of the delivery and in its retry schedule. */
export interface Numbered {
  /** From 1, over all attempts of the delivery. */
  readonly number: number;
  /** From 1, in the retry schedule, which a retry or a replay of an ended delivery starts again. */
  readonly position: number;
  /** How many attempts the schedule has. */
  readonly of: number;
}

/**
 * Returns the next attempt of a delivery, or the last one of a delivery that has ended. Failed probes do not count in
 * the schedule.
 *
 * @param schedule for subscriptions that have none of their own.
 */
export function attemptOf({ delivery, subscription }: Facts, schedule: RetrySchedule): Numbered {
  const { attemptCount, scheduleOffset, probeCount, endedAt } = delivery;
  const number = attemptCount + (endedAt === null ? 1 : 0);
  const position = Math.max(0, number - scheduleOffset - probeCount);
  // The schedule may have become shorter.
  return { number, position, of: Math.max(position, delaysOf(subscription, schedule) + 1) };
}

function delaysOf({ retrySchedule }: Facts['subscription'], schedule: RetrySchedule): number {
  if (retrySchedule === null) return schedule.length;
  try {
    return parseRetrySchedule(retrySchedule).length;
  } catch {
    // It was written by SQL.
    return schedule.length;
  }
}

/**
 * Returns when a held delivery expires if the circuit of its subscription stays open until then; null: never, as things
 * are now.
 */
export function expiryOf(facts: Facts, schedule: RetrySchedule): Date | null {
  const { delivery, subscription, circuit } = facts;
  if (delivery.state !== 'held' || delivery.dueAt === null || circuit?.openedAt == null)
    return null;
  if (subscription.status !== 'active') return null;
  const from = Math.max(delivery.dueAt.getTime(), circuit.openedAt.getTime());
  return new Date(from + expiryMs(subscription.retrySchedule, schedule));
}

/** Writes the number of an attempt: `attempt 3 of 10`, or `attempt 13 (3 of 10 in its schedule)`. */
export function numbered({ number, position, of }: Numbered): string {
  return number === position
    ? `attempt ${number} of ${of}`
    : `attempt ${number} (${position} of ${of} in its schedule)`;
}
