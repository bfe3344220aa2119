import type { Lanes } from '../concurrency/receiver-limit.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import { beginPass, type Owned, permitsOf } from './backlog.ts';
import type { Begun } from './in-flight.ts';
import { mayFeed } from './may-send.ts';
import type { Rate } from './rate-limit.ts';
import { createLine } from './send-order.ts';

/** What found no place, or was not to begin, is not tried again before that. */
export const NO_PLACE_MS = 100;
/** And where all the room is taken, not before something ends or that time. */
const NO_ROOM_MS = 1_000;
/** While results wait to be written, it is looked at again after that time. */
export const UNRECORDED_MS = 1_000;

export interface AllowanceOptions {
  readonly lanes: Lanes;
  readonly begun: Begun;
  /** Whether the result of another attempt could be written down. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Called when a backlog is to be looked at again in so many milliseconds. */
  readonly wants: (one: Owned, inMs: number) => void;
}

/** How many attempts of a backlog may begin now. */
export type Allowance = (
  one: Owned,
  subscription: CachedSubscription | null,
  now: number,
) => number;

/** Asks everything that bounds how much of a backlog is sent, and plans when to ask again. */
export function createAllowance(options: AllowanceOptions): Allowance {
  const { lanes, begun, mayRecord, wants } = options;

  /** Adapts to what the subscription says now. */
  return (one, subscription, now) => {
    const strict = subscription?.ordering === 'strict';
    if (strict !== one.strict) {
      one.strict = strict;
      one.line = createLine(strict);
      one.underWay = 0;
      one.more = true;
      one.barren = null;
      one.pass = beginPass(now);
    }
    lanes.pin(one.id, subscription?.maxInFlight ?? null);
    const { what, againInMs } = mayFeed(subscription);
    if (what === 'all') one.probed.clear();
    // Intake does not tell of what it holds for an open circuit.
    else if (what === 'probe' && one.what !== what) one.more = one.again = true;
    one.what = what;
    if (what === 'nothing') {
      if (againInMs !== null) wants(one, againInMs);
      // Whoever changes it tells us; an open circuit stays ours, so that its probe is made.
      else one.leaving ||= subscription?.status !== 'active';
      return 0;
    }
    // What began under another order, or before the ownership was lost, has to end first.
    if (begun.of(one.id) > one.underWay) return 0;
    if (one.notBefore > now) {
      wants(one, one.notBefore - now);
      return 0;
    }
    if (!mayRecord(one.id)) {
      wants(one, UNRECORDED_MS);
      return 0;
    }
    const most = what === 'probe' ? 1 - one.underWay : lanes.roomFor(one.id);
    // What came by the queue may have the room, and does not tell when it leaves.
    if (most <= 0) wants(one, one.underWay === 0 ? NO_PLACE_MS : NO_ROOM_MS);
    const permits = permitsOf(one, subscription?.rateLimit ?? null, now);
    if (permits === 0) wants(one, (one.rate as Rate).nextInMs(now));
    return Math.min(most, permits);
  };
}
