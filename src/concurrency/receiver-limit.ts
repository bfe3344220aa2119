import type { AttemptStatus } from '../db/types.ts';
import { FIRST_WINDOW, Window } from './receiver-window.ts';
import { type ReceiverKind, TotalLimit } from './total-limit.ts';

/** Receivers that answer within this time are quick, and have places that nobody else gets. */
const QUICK_MS = 1_000;
/** A receiver that timed out so often in a row has to prove itself again. */
const MAX_TIMEOUTS = 3;
const TICK_MS = 250;
/** A receiver that has answered nothing for so long while something waits for it has stalled. */
const STALL_MS = 500;
const FORGET_AFTER_MS = 60_000;

/** A request's place, from `enter` until `leave`. */
export interface Place {
  readonly lane: Lane;
  /** As its receiver was when it was given. */
  readonly kind: ReceiverKind;
  /** Of the lane's window, in which it began. */
  readonly round: number;
}

interface Waiting {
  readonly since: number;
  readonly resolve: (place: Place | null) => void;
}

/** What is known of a receiver, and what is under way to it. */
interface Lane {
  readonly id: number;
  /** Whose it is; known from the first delivery on. */
  tenant: string;
  /** How many requests it may have at once, by what it answers. */
  readonly window: Window;
  /** How many its subscription says that it may have, whatever it answers. */
  pinned: number | null;
  inFlight: number;
  waiting: Waiting[];
  /** It has answered, and has not timed out several times in a row since. */
  proven: boolean;
  timeoutsInARow: number;
  meanMs: number;
  /** Requests that ended in this tick, and in the one before it. */
  ended: number;
  endedBefore: number;
  /** Nothing ended while something waited: from then on nothing waits here. */
  stalled: boolean;
  /** What is owed to it waits outside already, and must go first. */
  backlogged: boolean;
  usedAt: number;
}

/** Where requests to receivers get their places, each receiver in a lane of its own. */
export interface Lanes {
  /**
   * Finds a place, or waits for one.
   *
   * @returns null when the delivery should rather be held, outside of memory and of the queue.
   */
  enter(
    subscriptionId: number,
    tenant: string,
    from: 'queue' | 'backlog',
  ): Place | null | Promise<Place | null>;
  /** @param status how the attempt ended, or null when none was made. */
  leave(place: Place, status: AttemptStatus | null, durationMs: number): void;
  /** How many more the backlog of a receiver may bring in now. */
  roomFor(subscriptionId: number): number;
  /** Whether a receiver has answered, and not timed out several times in a row since. */
  isProven(subscriptionId: number): boolean;
  /** Gives a receiver so many requests at once, whatever it answers; null: as many as it takes. */
  pin(subscriptionId: number, window: number | null): void;
  /** Whether what comes for a receiver has to line up behind its backlog. */
  setBacklogged(subscriptionId: number, backlogged: boolean): void;
  /** A receiver is back: it gets one request, then two, then four, as it answers. */
  startSlowly(subscriptionId: number): void;
  /** The receivers that requests are open to, and how many. */
  inFlightBySubscription(): [subscriptionId: number, inFlight: number][];
  /** How many requests there may be at once to all receivers together. */
  resize(limit: number): void;
  /** Whether anything had to wait for that number, rather than for its receiver, since this was asked last. */
  wereFull(): boolean;
  readonly inFlight: number;
  readonly waiting: number;
  /** Sends everyone away who waits. */
  stop(): void;
}

/**
 * A receiver can only hurt itself. Each has a window of requests (window.ts), which grows while that
 * brings more answers and shrinks when it times out. What exceeds it waits here, and is turned away to be held when the
 * receiver has stalled, or when others wait for the memory that it takes. How many there are of all
 * receivers together is bounded too, and shared out (total-limit.ts).
 *
 * @param othersWait whether deliveries to other subscriptions wait to be loaded.
 * @param now milliseconds of a clock that only goes forward.
 */
export function createLanes(
  limit: number,
  othersWait: (subscriptionId: number) => boolean,
  now: () => number = () => performance.now(),
): Lanes {
  const lanes = new Map<number, Lane>();
  /** Lanes in which somebody waits, the one whose turn is next first. */
  const crowded = new Set<Lane>();
  const total = new TotalLimit(limit);
  let waiting = 0;
  let full = false;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function laneOf(id: number): Lane {
    let lane = lanes.get(id);
    if (lane === undefined) {
      lane = {
        id,
        tenant: '',
        window: new Window(),
        pinned: null,
        inFlight: 0,
        waiting: [],
        proven: false,
        timeoutsInARow: 0,
        meanMs: 0,
        ended: 0,
        endedBefore: 0,
        stalled: false,
        backlogged: false,
        usedAt: 0,
      };
      lanes.set(id, lane);
    }
    return lane;
  }

  const windowOf = (lane: Lane) => lane.pinned ?? lane.window.size;
  const kindOf = ({ proven, meanMs }: Lane): ReceiverKind => ({
    quick: proven && meanMs < QUICK_MS,
    proven,
  });

  /** Gives a place, if there is one for it. */
  function tryStart(lane: Lane): Place | null {
    if (lane.inFlight >= windowOf(lane)) return null;
    const kind = kindOf(lane);
    if (!total.hasRoom(lane.tenant, kind)) {
      full = true;
      return null;
    }
    total.begin(lane.tenant, kind);
    lane.inFlight += 1;
    lane.usedAt = now();
    return { lane, kind, round: lane.window.round };
  }

  /** Returns how many it has let in. */
  function letIn(lane: Lane, most = Number.POSITIVE_INFINITY): number {
    let count = 0;
    while (lane.waiting.length > 0 && count < most) {
      const place = tryStart(lane);
      if (place === null) break;
      count += 1;
      const next = lane.waiting.shift() as Waiting;
      waiting -= 1;
      next.resolve(place);
    }
    if (lane.waiting.length === 0) crowded.delete(lane);
    return count;
  }

  /** Lets others in, whoever's turn it is, as far as a look at a few of them shows. */
  function letOthersIn(most = Number.POSITIVE_INFINITY): void {
    let looks = Math.min(20, crowded.size);
    let left = most;
    for (const lane of crowded) {
      if (total.inFlight >= total.max || looks === 0 || left === 0) return;
      looks -= 1;
      left -= letIn(lane, left);
      if (lane.waiting.length === 0 || crowded.size === 1) continue;
      // To the end of the line.
      crowded.delete(lane);
      crowded.add(lane);
    }
  }

  function turnAway(lane: Lane, keep: number): void {
    for (const { resolve } of lane.waiting.splice(keep)) {
      waiting -= 1;
      resolve(null);
    }
    if (lane.waiting.length === 0) crowded.delete(lane);
  }

  function tick(): void {
    const at = now();
    for (const lane of lanes.values()) {
      if (lane.waiting.length > 0) {
        const oldest = lane.waiting[0] as Waiting;
        const pace = Math.max(lane.ended, lane.endedBefore);
        if (pace === 0 && at - oldest.since >= STALL_MS) {
          lane.stalled = true;
          turnAway(lane, 0);
        } else if (othersWait(lane.id)) {
          // Enough for the next tick; what is more takes the memory that others wait for.
          turnAway(lane, Math.max(FIRST_WINDOW, pace));
        }
      }
      lane.endedBefore = lane.ended;
      lane.ended = 0;
      if (
        lane.inFlight === 0 &&
        lane.waiting.length === 0 &&
        !lane.backlogged &&
        at - lane.usedAt > FORGET_AFTER_MS
      ) {
        lanes.delete(lane.id);
      }
    }
    letOthersIn();
    if (lanes.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }

  return {
    enter(id, tenant, from) {
      if (stopped) return null;
      if (timer === undefined) {
        timer = setInterval(tick, TICK_MS);
        timer.unref();
      }
      const lane = laneOf(id);
      if (from === 'queue' && lane.backlogged) return null;
      lane.tenant = tenant;
      const place = lane.waiting.length === 0 ? tryStart(lane) : null;
      if (place !== null) return place;
      if (lane.stalled) return null;
      return new Promise((resolve) => {
        lane.waiting.push({ since: now(), resolve });
        waiting += 1;
        crowded.add(lane);
      });
    },
    leave({ lane, kind, round }, status, durationMs) {
      // A window larger than what there is must still be found to be too large.
      const full = lane.inFlight >= Math.min(lane.window.size, total.maxOfOne);
      lane.inFlight -= 1;
      lane.usedAt = now();
      total.end(lane.tenant, kind);
      if (status === 'timeout') {
        lane.timeoutsInARow += 1;
        if (lane.timeoutsInARow >= MAX_TIMEOUTS) lane.proven = false;
        lane.window.timedOut(now());
      } else if (status !== null) {
        // Whatever it answered, it answered.
        lane.ended += 1;
        lane.timeoutsInARow = 0;
        lane.proven = true;
        lane.stalled = false;
        lane.meanMs = lane.meanMs === 0 ? durationMs : lane.meanMs * 0.9 + durationMs * 0.1;
        lane.window.answered(full, round, lane.meanMs, now());
      }
      // Whose turn it is: one that has much to send would get each of its own places back.
      if (crowded.size > 0) letOthersIn(1);
      letIn(lane);
    },
    roomFor(id) {
      const lane = laneOf(id);
      const pace = Math.max(lane.ended, lane.endedBefore);
      const most = lane.pinned ?? Math.max(lane.window.size, 2 * pace);
      return most - lane.inFlight - lane.waiting.length;
    },
    isProven: (id) => laneOf(id).proven,
    pin(id, window) {
      const lane = laneOf(id);
      if (lane.pinned === window) return;
      lane.pinned = window;
      letIn(lane);
    },
    setBacklogged(id, backlogged) {
      laneOf(id).backlogged = backlogged;
    },
    startSlowly(id) {
      const lane = laneOf(id);
      lane.window.restart();
      lane.stalled = false;
    },
    inFlightBySubscription: () =>
      [...lanes.values()]
        .filter((lane) => lane.inFlight > 0)
        .map((lane) => [lane.id, lane.inFlight]),
    resize(max) {
      total.resize(max);
      letOthersIn();
    },
    wereFull() {
      const were = full;
      full = false;
      return were;
    },
    get inFlight() {
      return total.inFlight;
    },
    get waiting() {
      return waiting;
    },
    stop() {
      stopped = true;
      clearInterval(timer);
      for (const lane of lanes.values()) turnAway(lane, 0);
    },
  };
}
