import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import type { Backlog } from './backlog.ts';
import type { AttemptsInFlight } from './in-flight.ts';
import { maySend } from './may-send.ts';
import { LEAVING, type Mode, PROBING, pauseFor, READY, waitFor } from './modes.ts';
import { canReadOn, createReading, type Reading, sweepInMs } from './reading.ts';

/** Deliveries from the queue may have a backlog's room, and nothing tells us when they end. */
const NO_ROOM_MS = 100;
/** Pause while the backlog's own requests take all the room: each that ends looks again sooner. */
const OWN_ROOM_MS = 1_000;
/** Pause while results of the subscription wait to be written. */
export const UNRECORDED_MS = 1_000;
/** A backlog that used all its room waits this long, so that a receiver that is back gets more step by step. */
const REFILL_MS = 100;
/** When a probe is due and nothing is held to probe with, the owner looks this often, for this long. */
const LOOK_EVERY_MS = 1_000;
const LOOK_FOR_MS = 60_000;

export interface NextModeOptions {
  readonly receiverLimits: ReceiverLimits;
  readonly attempts: AttemptsInFlight;
  /** Returns whether the result of another attempt could be recorded. */
  readonly mayRecord: (subscriptionId: number) => boolean;
}

export interface NextMode {
  /**
   * Applies every limit on sending a backlog: the subscription's status, circuit, order, rate and requests
   * at once, and its receiver's limit. Begins a new reading where the order or the circuit has changed.
   */
  before(backlog: Backlog, subscription: CachedSubscription | null, now: number): Mode;
  /**
   * Returns the mode of a backlog from which a round has sent.
   *
   * @param noRoomLeft it sent as much as its limits allow.
   */
  after(backlog: Backlog, subscription: CachedSubscription | null, noRoomLeft: boolean): Mode;
  /** Returns the mode of a backlog that has nothing to probe with. */
  withoutProbe(backlog: Backlog): Mode;
}

/** Decides how a backlog goes on, before and after a round sends from it. */
export function createNextMode({ receiverLimits, attempts, mayRecord }: NextModeOptions): NextMode {
  return {
    before(backlog, subscription, now) {
      const { id, rate } = backlog;
      const { allowed, againInMs } = maySend(subscription);
      const strict = subscription?.ordering === 'strict';
      if (allowed !== 'all') backlog.reading = null;
      else if (backlog.reading?.strict !== strict) backlog.reading = createReading(strict, now);
      receiverLimits.pin(id, subscription?.maxInFlight ?? null);
      if (allowed === 'nothing') {
        if (againInMs !== null) return waitFor('circuit', againInMs);
        // A change of the subscription notifies us. An open circuit stays owned, so that its probe is sent.
        return subscription?.status === 'active' ? waitFor('circuit') : LEAVING;
      }
      const ownInFlight = backlog.reading?.sendOrder.inFlight ?? 0;
      // A probe is sent alone. Attempts of an earlier reading, or from before the ownership was lost, end first.
      if (attempts.countOf(id) > ownInFlight) return waitFor('attempts');
      if (!mayRecord(id)) return waitFor('recording', UNRECORDED_MS);
      const permits = rate.permits(subscription?.rateLimit ?? null, now);
      if (permits === 0) return waitFor('rate limit', rate.nextInMs(now));
      if (allowed === 'probe') return PROBING;
      const room = receiverLimits.roomFor(id, subscription?.tenant ?? '');
      if (room <= 0) return waitFor('room', ownInFlight === 0 ? NO_ROOM_MS : OWN_ROOM_MS);
      return { kind: 'sending', most: Math.min(room, permits) };
    },

    after({ id, reading, rate }, subscription, noRoomLeft) {
      const { strict, sendOrder, long } = reading as Reading;
      // With no other limit, enough requests wait at the receiver's limit for this time.
      if (noRoomLeft && !strict && !rate.limited && subscription?.maxInFlight == null)
        return pauseFor('refill', REFILL_MS);
      const now = performance.now();
      if (sendOrder.ready(now) > 0 || canReadOn(reading as Reading, now)) {
        if (!noRoomLeft) return READY;
        // An attempt that ends makes room; a rate limit does so with time.
        return rate.limited
          ? waitFor('rate limit', Math.max(1, rate.nextInMs(now)))
          : waitFor('room');
      }
      if (long?.underWay) return waitFor('page');
      const inMs = Math.min(sweepInMs(reading as Reading, now), Math.max(1, sendOrder.dueAt - now));
      if (inMs !== Number.POSITIVE_INFINITY) return waitFor('due time', inMs);
      return waitFor(attempts.countOf(id) > 0 ? 'attempts' : 'deliveries');
    },

    withoutProbe({ activeAt }) {
      // Intake sends no notification while the circuit is open. Later deliveries are found by the sweep.
      const looksOn = performance.now() - activeAt < LOOK_FOR_MS;
      return looksOn ? waitFor('deliveries', LOOK_EVERY_MS) : waitFor('deliveries');
    },
  };
}

/** Pauses a backlog after an attempt that found no place at its receiver, or was not allowed to begin. */
export const NO_PLACE = pauseFor('no place', 100);
