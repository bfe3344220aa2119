import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import type { Outcome } from '../sending/courier.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import { type Backlog, beginPass, permitsOf } from './backlog.ts';
import type { AttemptsInFlight } from './in-flight.ts';
import { maySend } from './may-send.ts';
import type { RateLimiter } from './rate-limit.ts';
import { createSendOrder } from './send-order.ts';

/** Pause after an attempt that found no place at its receiver, or that was not allowed to begin. */
export const NO_PLACE_MS = 100;
/** Pause while the backlog's own requests take all the room: each that ends looks again sooner. */
const NO_ROOM_MS = 1_000;
/** Pause while results of the subscription wait to be written. */
const UNRECORDED_MS = 1_000;

export interface AllowanceOptions {
  readonly receiverLimits: ReceiverLimits;
  readonly attempts: AttemptsInFlight;
  /** Returns whether the result of another attempt could be recorded. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Plans the next look at a backlog. */
  readonly schedule: (backlog: Backlog, inMs: number) => void;
}

/** Returns how many attempts of a backlog may begin now. */
export type Allowance = (
  backlog: Backlog,
  subscription: CachedSubscription | null,
  now: number,
) => number;

/** Applies every limit on how much of a backlog is sent, and plans when to ask again. */
export function createAllowance(options: AllowanceOptions): Allowance {
  const { receiverLimits, attempts, mayRecord, schedule } = options;

  return (backlog, subscription, now) => {
    const strict = subscription?.ordering === 'strict';
    if (strict !== backlog.strict) {
      backlog.strict = strict;
      backlog.sendOrder = createSendOrder(strict);
      backlog.inFlight = 0;
      backlog.moreAhead = true;
      backlog.blockedKind = null;
      backlog.pass = beginPass(now);
    }
    receiverLimits.pin(backlog.id, subscription?.maxInFlight ?? null);
    const { allowed, againInMs } = maySend(subscription);
    if (allowed === 'all') backlog.probeCounts.clear();
    // Intake sends no notification for deliveries that it holds for an open circuit.
    else if (allowed === 'probe' && backlog.allowed !== allowed)
      backlog.moreAhead = backlog.rereadWanted = true;
    backlog.allowed = allowed;
    if (allowed === 'nothing') {
      if (againInMs !== null) schedule(backlog, againInMs);
      // A change of the subscription notifies us. An open circuit stays owned, so that its probe is sent.
      else backlog.leaving ||= subscription?.status !== 'active';
      return 0;
    }
    // Attempts that began under another order, or before the ownership was lost, have to end first.
    if (attempts.countOf(backlog.id) > backlog.inFlight) return 0;
    if (backlog.notBefore > now) {
      schedule(backlog, backlog.notBefore - now);
      return 0;
    }
    if (!mayRecord(backlog.id)) {
      schedule(backlog, UNRECORDED_MS);
      return 0;
    }
    const most = allowed === 'probe' ? 1 - backlog.inFlight : receiverLimits.roomFor(backlog.id);
    // Deliveries from the queue may have the room, and nothing tells us when they end.
    if (most <= 0) schedule(backlog, backlog.inFlight === 0 ? NO_PLACE_MS : NO_ROOM_MS);
    const permits = permitsOf(backlog, subscription?.rateLimit ?? null, now);
    if (permits === 0) schedule(backlog, (backlog.rateLimiter as RateLimiter).nextInMs(now));
    return Math.min(most, permits);
  };
}

/** Returns when a delivery is due again, by the clock of `performance.now()`; null: it has ended. */
export function dueAfter(outcome: Outcome): number | null {
  if (outcome === 'untouched') return performance.now();
  if (outcome === 'unrecorded') return performance.now() + UNRECORDED_MS;
  if (typeof outcome === 'string' || outcome.state !== 'held') return null;
  // A failed probe has no retry time: the circuit says when the next probe is due.
  return performance.now() + (outcome.retryInMs ?? 0);
}
