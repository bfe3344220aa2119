import type { AttemptStatus } from '../db/types.ts';
import type { DeliverySource } from './delivery-memory.ts';
import {
  answersPerTick,
  beginTick,
  createReceiver,
  kindOf,
  noteResult,
  type Place,
  type Receiver,
  windowOf,
} from './receiver.ts';
import { FIRST_WINDOW, restart } from './receiver-window.ts';
import type { TotalLimit } from './total-limit.ts';

const TICK_MS = 250;
/** A receiver that ended no request for this time while deliveries wait for it has stalled. */
const STALL_MS = 500;
/** The longest that a delivery waits for a place: after a minute in memory it could be taken for lost. */
const MAX_WAIT_MS = 30_000;
const FORGET_AFTER_MS = 60_000;

/** Limits the requests in flight to each receiver, and to all receivers together. */
export interface ReceiverLimits {
  /**
   * Finds a place, or waits for one.
   *
   * @param bytes of the delivery's body, as far as it is loaded.
   * @returns null when the delivery should rather be held, outside of memory and of the queue.
   */
  enter(
    subscriptionId: number,
    tenant: string,
    bytes: number,
    from: DeliverySource,
  ): Place | null | Promise<Place | null>;
  /** @param status how the attempt ended, or null when none was made. */
  leave(place: Place, status: AttemptStatus | null, durationMs: number): void;
  /**
   * Returns how many more deliveries a receiver's backlog may load now: those that have a place, and where
   * the receiver answers, those that it answers soon.
   */
  roomFor(subscriptionId: number, tenant: string): number;
  /** Fixes a receiver's limit; null: its window decides. */
  pin(subscriptionId: number, window: number | null): void;
  /** Sets whether deliveries from the queue have to go behind the receiver's backlog. */
  setBacklogged(subscriptionId: number, backlogged: boolean): void;
  /** Starts a receiver that is back with one request, then two, then four, as it answers. */
  startSlowly(subscriptionId: number): void;
  /** Sets how many requests may be in flight to all receivers together. */
  resize(limit: number): void;
  /** Returns whether any delivery waited for the total limit, not its receiver's, since the last call. */
  wasFull(): boolean;
  readonly inFlight: number;
  readonly waiting: number;
  /** The number of places given back so far. */
  readonly ended: number;
  /** Turns away all that wait. */
  stop(): void;
}

/**
 * Creates the limits, by which a receiver can only hurt itself. Each has a window of requests
 * (receiver-window.ts), which grows while that brings more answers and shrinks when it times out.
 * Deliveries beyond it wait here, and are turned away to be held when the receiver has stalled, or
 * when others wait for the memory that they take. The requests of all receivers together are bounded
 * and shared out (total-limit.ts).
 *
 * @param othersWait returns whether deliveries to other subscriptions wait to be loaded.
 * @param now milliseconds of a clock that only goes forward.
 */
export function createReceiverLimits(
  total: TotalLimit,
  othersWait: (subscriptionId: number) => boolean,
  now: () => number = () => performance.now(),
): ReceiverLimits {
  const receivers = new Map<number, Receiver>();
  /** Receivers with deliveries waiting, in the order of their turns. */
  const withWaiting = new Set<Receiver>();
  let waiting = 0;
  let ended = 0;
  let totalWasFull = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function receiverOf(id: number): Receiver {
    let receiver = receivers.get(id);
    if (receiver === undefined) {
      receiver = createReceiver(id);
      receivers.set(id, receiver);
    }
    return receiver;
  }

  /** Takes a place, or returns null when there is none. */
  function tryStart(receiver: Receiver, bytes: number): Place | null {
    if (receiver.inFlight >= windowOf(receiver)) return null;
    const { tenant } = receiver;
    const kind = kindOf(receiver);
    if (!total.hasRoom(tenant, kind, bytes)) {
      totalWasFull = true;
      return null;
    }
    total.begin(tenant, kind, bytes);
    receiver.inFlight += 1;
    receiver.usedAt = now();
    return { receiver, tenant, kind, bytes, round: receiver.window.round };
  }

  /** Returns how many it has let in. */
  function admit(receiver: Receiver, most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    while (count < most) {
      const [next] = receiver.waiting;
      const place = next === undefined ? null : tryStart(receiver, next.bytes);
      if (next === undefined || place === null) break;
      count += 1;
      receiver.waiting.shift();
      waiting -= 1;
      next.resolve(place);
    }
    if (receiver.waiting.length === 0) withWaiting.delete(receiver);
    return count;
  }

  /** Admits waiting deliveries, receivers taking turns. It looks at a few receivers only, for speed. */
  function admitInTurn(most = Number.POSITIVE_INFINITY): void {
    let looks = Math.min(20, withWaiting.size);
    let left = most;
    for (const receiver of withWaiting) {
      if (total.inFlight >= total.max || looks === 0 || left === 0) return;
      looks -= 1;
      left -= admit(receiver, left);
      if (receiver.waiting.length === 0 || withWaiting.size === 1) continue;
      // Its next turn is after all others.
      withWaiting.delete(receiver);
      withWaiting.add(receiver);
    }
  }

  function turnAway(receiver: Receiver, keep: number): void {
    for (const { resolve } of receiver.waiting.splice(keep)) {
      waiting -= 1;
      resolve(null);
    }
    if (receiver.waiting.length === 0) withWaiting.delete(receiver);
  }

  function tick(): void {
    const at = now();
    for (const receiver of receivers.values()) {
      if (receiver.waiting.length > 0) {
        const waitsSince = receiver.waiting[0]?.since ?? at;
        const answers = answersPerTick(receiver);
        if (answers === 0 && at - waitsSince >= STALL_MS) {
          receiver.stalled = true;
          turnAway(receiver, 0);
        } else if (at - waitsSince >= MAX_WAIT_MS) {
          turnAway(receiver, 0);
        } else if (othersWait(receiver.id)) {
          // Enough for the next tick; more would take the memory that others wait for.
          turnAway(receiver, Math.max(FIRST_WINDOW, answers));
        }
      }
      beginTick(receiver);
      if (
        receiver.inFlight === 0 &&
        receiver.waiting.length === 0 &&
        !receiver.backlogged &&
        at - receiver.usedAt > FORGET_AFTER_MS
      ) {
        receivers.delete(receiver.id);
      }
    }
    admitInTurn();
    if (receivers.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  return {
    enter(id, tenant, bytes, from) {
      if (stopped) return null;
      if (timer === undefined) {
        timer = setInterval(tick, TICK_MS);
        timer.unref();
      }
      const receiver = receiverOf(id);
      if (from === 'queue' && receiver.backlogged) return null;
      receiver.tenant = tenant;
      const place = receiver.waiting.length === 0 ? tryStart(receiver, bytes) : null;
      if (place !== null) return place;
      if (receiver.stalled) return null;
      return new Promise((resolve) => {
        receiver.waiting.push({ bytes, since: now(), resolve });
        waiting += 1;
        withWaiting.add(receiver);
      });
    },
    leave({ receiver, tenant, kind, bytes, round }, status, durationMs) {
      // With the total limit below the window, the window could otherwise never count as full.
      const windowWasFull = receiver.inFlight >= Math.min(receiver.window.size, total.maxOfOne);
      receiver.inFlight -= 1;
      receiver.usedAt = now();
      total.end(tenant, kind, bytes);
      ended += 1;
      if (status !== null) noteResult(receiver, status, durationMs, windowWasFull, round, now());
      // Others first, or a receiver with much to send would get each of its own places back.
      if (withWaiting.size > 0) admitInTurn(1);
      admit(receiver);
    },
    roomFor(id, tenant) {
      const receiver = receiverOf(id);
      const answers = answersPerTick(receiver);
      const most = receiver.pinned ?? Math.max(receiver.window.size, 2 * answers);
      const room = most - receiver.inFlight - receiver.waiting.length;
      if (room <= 0 || answers > 0) return room;
      const places = total.roomFor(tenant, kindOf(receiver));
      if (places < room) totalWasFull = true;
      return Math.min(room, places);
    },
    pin(id, window) {
      const receiver = receiverOf(id);
      if (receiver.pinned === window) return;
      receiver.pinned = window;
      admit(receiver);
    },
    setBacklogged(id, backlogged) {
      receiverOf(id).backlogged = backlogged;
    },
    startSlowly(id) {
      const receiver = receiverOf(id);
      restart(receiver.window);
      receiver.stalled = false;
    },
    resize(max) {
      total.resize(max);
      admitInTurn();
    },
    wasFull() {
      const were = totalWasFull;
      totalWasFull = false;
      return were;
    },
    get inFlight() {
      return total.inFlight;
    },
    get waiting() {
      return waiting;
    },
    get ended() {
      return ended;
    },
    stop() {
      stopped = true;
      clearInterval(timer);
      for (const receiver of receivers.values()) turnAway(receiver, 0);
    },
  };
}
