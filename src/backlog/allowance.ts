import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import { type Backlog, beginPass, permitsOf } from './backlog.ts';
import type { AttemptsInFlight } from './in-flight.ts';
import { maySend } from './may-send.ts';
import type { RateLimiter } from './rate-limit.ts';
import { createSendOrder } from './send-order.ts';

/** What found no place, or was not to begin, is not tried again before that. */
export const NO_PLACE_MS = 100;
/** And where all the room is taken, not before something ends or that time. */
const NO_ROOM_MS = 1_000;
/** While results wait to be written, it is looked at again after that time. */
export const UNRECORDED_MS = 1_000;

export interface AllowanceOptions {
  readonly receiverLimits: ReceiverLimits;
  readonly attemptsInFlight: AttemptsInFlight;
  /** Whether the result of another attempt could be written down. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Called when a backlog is to be looked at again in so many milliseconds. */
  readonly schedule: (backlog: Backlog, inMs: number) => void;
}

/** How many attempts of a backlog may begin now. */
export type Allowance = (
  backlog: Backlog,
  subscription: CachedSubscription | null,
  now: number,
) => number;

/** Asks everything that bounds how much of a backlog is sent, and plans when to ask again. */
export function createAllowance(options: AllowanceOptions): Allowance {
  const { receiverLimits, attemptsInFlight, mayRecord, schedule } = options;

  /** Adapts to what the subscription says now. */
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
    // Intake does not tell of what it holds for an open circuit.
    else if (allowed === 'probe' && backlog.allowed !== allowed)
      backlog.moreAhead = backlog.rereadWanted = true;
    backlog.allowed = allowed;
    if (allowed === 'nothing') {
      if (againInMs !== null) schedule(backlog, againInMs);
      // Whoever changes it tells us; an open circuit stays ours, so that its probe is made.
      else backlog.leaving ||= subscription?.status !== 'active';
      return 0;
    }
    // What began under another order, or before the ownership was lost, has to end first.
    if (attemptsInFlight.of(backlog.id) > backlog.inFlight) return 0;
    if (backlog.notBefore > now) {
      schedule(backlog, backlog.notBefore - now);
      return 0;
    }
    if (!mayRecord(backlog.id)) {
      schedule(backlog, UNRECORDED_MS);
      return 0;
    }
    const most = allowed === 'probe' ? 1 - backlog.inFlight : receiverLimits.roomFor(backlog.id);
    // What came by the queue may have the room, and does not tell when it leaves.
    if (most <= 0) schedule(backlog, backlog.inFlight === 0 ? NO_PLACE_MS : NO_ROOM_MS);
    const permits = permitsOf(backlog, subscription?.rateLimit ?? null, now);
    if (permits === 0) schedule(backlog, (backlog.rateLimiter as RateLimiter).nextInMs(now));
    return Math.min(most, permits);
  };
}
