import type pg from 'pg';
import type { Lanes } from '../concurrency/receiver-limit.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import { loadOwed, type OwedDelivery } from '../deliveries/load.sql.ts';
import { SMALL_BODY_BYTES } from '../deliveries/payloads.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { createAllowance, NO_PLACE_MS, UNRECORDED_MS } from './allowance.ts';
import {
  createOwned,
  isDone,
  LOOK_EVERY_MS,
  looksForProbe,
  lookUp,
  type Owned,
  turnOf,
} from './backlog.ts';
import { createAside } from './failing-backlogs.ts';
import { createBegun } from './in-flight.ts';
import { mayFeed } from './may-send.ts';
import { canReadOn, createReader, sweepInMs } from './reader.ts';

/** Backlogs that one round looks into. */
const MAX_ROUND = 500;
/** A receiver that is back is given more step by step: at most twice as much after that time. */
const REFILL_MS = 100;
/** A retry may be due in a year, and no timer goes that far. */
const MAX_TIMER_MS = 3_600_000;

export interface FeederOptions {
  readonly pool: pg.Pool;
  readonly lanes: Lanes;
  readonly subscriptions: SubscriptionCache;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  /** Whether backlogs that are owned still are. */
  readonly ownsStill: () => boolean;
  /** Called when a round may have something to do, in so many milliseconds. */
  readonly wake: (delayMs: number) => void;
  /** Whether the result of another attempt could be written down. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Told of rounds and attempts of single backlogs that fail, and when none of them does any more. */
  readonly loop: Loop;
  /** Told of the long reads beside the rounds. */
  readonly readLoop: Loop;
}

/** What a round found that nothing more is to be sent of. */
export interface Finished {
  /** Nothing is held. */
  readonly empty: number[];
  /** Nothing is to be sent for now, or others may have it. */
  readonly unwanted: number[];
}

/** What a round has sent. */
interface Sent {
  readonly begun: Map<Owned, number>;
  /** Those for which there was no memory; whatever ends makes some. */
  readonly starved: Set<Owned>;
}

export interface Feeder {
  /** From now on this process sends the backlog. */
  add(subscriptionId: number): void;
  /** Returns whether something came up meanwhile that nobody has looked at. */
  remove(subscriptionId: number): boolean;
  /** Something was held, or the subscription has changed. */
  look(subscriptionId: number): void;
  has(subscriptionId: number): boolean;
  readonly ids: number[];
  readonly size: number;
  /** Those of which nothing was held for that long. */
  idleFor(ms: number): number[];
  /** Gives up those that have been owned for that long, once nothing of them is under way. */
  giveUpAfter(ms: number): void;
  /** Whether nothing more is to be sent of it, and nothing is under way. */
  isUnwanted(subscriptionId: number): boolean;
  /** Sends what there is room for. */
  feed(): Promise<Finished>;
  /** Reads nothing more, and resolves when nothing is under way. */
  idle(): Promise<void>;
}

/**
 * Sends what is held of the backlogs that this process owns: the oldest first, at most what their
 * subscriptions allow (status, rate, requests at once, order) and their receivers take.
 *
 * There being one sender is what keeps those rules across processes. The deliveries themselves stay
 * `held` until their attempt is recorded, so an owner that dies takes nothing with it.
 */
export function createFeeder(options: FeederOptions): Feeder {
  const { pool, lanes, subscriptions, attempt, ownsStill, wake, mayRecord, loop, readLoop } =
    options;
  const owned = new Map<number, Owned>();
  /** Those that have something to send, or may have. */
  const hungry = new Set<Owned>();
  const aside = createAside(loop, (one) => {
    if (owned.get(one.id) !== one) return aside.forget(one);
    hungry.delete(one);
    wants(one, 0);
  });
  const begun = createBegun(lanes);
  const reader = createReader(pool, wants, readLoop);
  const allowance = createAllowance({ lanes, begun, mayRecord, wants });
  let finished: Finished = { empty: [], unwanted: [] };
  let timeouts = 0;

  function wants(one: Owned, wantedInMs: number): void {
    clearTimeout(one.timer);
    one.timer = undefined;
    const inMs = Math.max(wantedInMs, one.asideUntil - performance.now());
    if (inMs <= 0) {
      hungry.add(one);
      wake(0);
      return;
    }
    one.timer = setTimeout(() => wants(one, 0), Math.ceil(Math.min(inMs, MAX_TIMER_MS)));
    one.timer.unref();
  }

  /** Chooses who is next and loads what is to be sent. */
  async function send(allowed: ReadonlyMap<Owned, number>): Promise<Sent> {
    const now = performance.now();
    const sent: Sent = { begun: new Map(), starved: new Set() };
    const room = begun.room();
    const chosen = new Map<string, Owned>();
    for (const [one, most] of allowed) {
      const free = room.for(one.id, most);
      const ids = free === 0 ? [] : one.line.next(free, now, turnOf(one));
      if (free < most && ids.length >= free) sent.starved.add(one);
      room.take(one.id, ids.length);
      for (const webhookId of ids) chosen.set(`${webhookId}.${one.id}`, one);
    }
    if (chosen.size === 0) return sent;
    const keys = {
      webhooks: [...chosen.keys()].map(webhookOf),
      subscriptions: [...chosen.values()].map(({ id }) => id),
    };
    try {
      for (const delivery of await loadOwed(pool, keys, 'held')) {
        const key = `${delivery.webhookId}.${delivery.subscriptionId}`;
        const one = chosen.get(key);
        if (one === undefined) continue;
        chosen.delete(key);
        begin(one, delivery);
        sent.begun.set(one, (sent.begun.get(one) ?? 0) + 1);
      }
      // What is not held any more has ended: it was cancelled, or this process lost its ownership.
      for (const [key, one] of chosen) one.line.settled(webhookOf(key), null);
      return sent;
    } catch (error) {
      for (const [key, one] of chosen) one.line.settled(webhookOf(key), now);
      throw error;
    }
  }

  function begin(one: Owned, delivery: OwedDelivery): void {
    const { id, line, what: began } = one;
    const now = performance.now();
    one.rate?.take(1, now);
    one.lastStart = now;
    if (began === 'probe')
      one.probed.set(delivery.webhookId, (one.probed.get(delivery.webhookId) ?? 0) + 1);
    one.underWay += 1;
    const mayBegin: MayBegin = (subscription) => {
      const { what } = mayFeed(subscription);
      // What waited for a place since before the circuit opened is no probe.
      return ownsStill() && owned.get(id) === one && (what === 'all' || what === began);
    };
    const recorded = attempt(delivery, mayBegin).then(
      (outcome) => {
        aside.attemptSucceeded(one);
        return outcome;
      },
      (error: unknown): Outcome => {
        aside.attemptFailed(one, error);
        return 'untouched';
      },
    );
    begun.add(id, Math.min(delivery.bytes, SMALL_BODY_BYTES), recorded, (outcome) => {
      line.settled(delivery.webhookId, dueAfter(outcome));
      if (outcome === 'untouched') one.notBefore = performance.now() + NO_PLACE_MS;
      // Intake does not tell of what it has held meanwhile, and the next probe may be one of these.
      if (began === 'probe') one.more = true;
      // The order may have changed meanwhile, or the ownership.
      if (line === one.line) one.underWay -= 1;
      const now = owned.get(id);
      if (now === undefined) return wake(0);
      now.activeAt = performance.now();
      wants(now, 0);
    });
  }

  async function feed(): Promise<Finished> {
    const some = [...hungry].slice(0, MAX_ROUND);
    // Somebody's lock may hold up the statement for all, and so may a database that is slow just now.
    const { errors } = await isolate(some, feedSome, (error) => {
      if (isTimeout(error)) timeouts += 1;
      return !isUnavailable(error) || (isTimeout(error) && timeouts >= 2);
    });
    if (errors.size === 0) timeouts = 0;
    for (const [one, error] of errors) aside.roundFailed(one, error);
    aside.report();
    const found = finished;
    finished = { empty: [], unwanted: [] };
    return found;
  }

  async function feedSome(some: Owned[]): Promise<void> {
    const known = await lookUp(pool, subscriptions, some);
    const allowed = new Map<Owned, number>();
    const now = performance.now();
    for (const one of some) {
      // To the end of the line; and what comes while this round goes on is for the next one.
      hungry.delete(one);
      one.looked = false;
      if (owned.get(one.id) !== one) continue;
      const most = one.leaving ? 0 : allowance(one, known.get(one) ?? null, now);
      if (most > 0) allowed.set(one, most);
    }
    let sent: Sent;
    try {
      await reader.read(allowed, now);
      sent = await send(allowed);
    } catch (error) {
      for (const one of some) hungry.add(one);
      throw error;
    }
    for (const one of allowed.keys()) aside.roundSucceeded(one);
    for (const one of some) {
      if (owned.get(one.id) === one && isUnwanted(one)) finished.unwanted.push(one.id);
    }
    for (const [one, most] of allowed) {
      const subscription = known.get(one) ?? null;
      const noRoomLeft = (sent.begun.get(one) ?? 0) >= most;
      // Where nothing else sets the pace, as many wait in the lane as go until then.
      if (noRoomLeft && !one.strict && one.rate === null && subscription?.maxInFlight == null)
        one.notBefore = performance.now() + REFILL_MS;
      if (sent.starved.has(one)) hungry.add(one);
      else if (isEmpty(one, noRoomLeft)) {
        if (!subscription?.throughBacklog) finished.empty.push(one.id);
        else if (looksForProbe(one, now)) wants(one, LOOK_EVERY_MS);
      }
    }
  }

  const isUnwanted = (one: Owned) => one.leaving && begun.of(one.id) === 0;

  /** Decides when to look again at a backlog, and returns whether nothing of it is left. */
  function isEmpty(one: Owned, noRoomLeft: boolean): boolean {
    const { line, rate } = one;
    const now = performance.now();
    const toRead = !one.reading && canReadOn(one, now);
    if (line.ready(now) > 0 || toRead) {
      // With no room left, whatever ends makes some, and the time makes room in a rate.
      if (!noRoomLeft) wants(one, 0);
      else if (rate !== null) wants(one, Math.max(1, rate.nextInMs(now)));
      return false;
    }
    if (one.reading) return false;
    const inMs = Math.min(sweepInMs(one, now), Math.max(1, line.dueAt - now));
    if (inMs === Number.POSITIVE_INFINITY) return begun.of(one.id) === 0;
    wants(one, inMs);
    return false;
  }

  function look(one: Owned): void {
    one.more = true;
    one.again = true;
    one.news += 1;
    one.looked = true;
    one.leaving = false;
    one.activeAt = performance.now();
    wants(one, 0);
  }

  return {
    add(id) {
      const known = owned.get(id);
      if (known !== undefined) return look(known);
      const one = createOwned(id, performance.now());
      owned.set(id, one);
      lanes.setBacklogged(id, true);
      wants(one, 0);
    },
    remove(id) {
      const one = owned.get(id);
      if (one === undefined) return false;
      clearTimeout(one.timer);
      owned.delete(id);
      hungry.delete(one);
      aside.forget(one);
      lanes.pin(id, null);
      lanes.setBacklogged(id, false);
      return one.looked;
    },
    look(id) {
      const one = owned.get(id);
      if (one !== undefined) look(one);
    },
    has: (id) => owned.has(id),
    get ids() {
      return [...owned.keys()];
    },
    get size() {
      return owned.size;
    },
    idleFor(ms) {
      const before = performance.now() - ms;
      return [...owned.values()]
        .filter(
          (one) =>
            one.activeAt < before && begun.of(one.id) === 0 && isDone(one, performance.now()),
        )
        .map(({ id }) => id);
    },
    giveUpAfter(ms) {
      const before = performance.now() - ms;
      for (const one of owned.values()) {
        if (one.since > before) continue;
        one.leaving = true;
        wants(one, 0);
      }
    },
    isUnwanted(id) {
      const one = owned.get(id);
      return one !== undefined && isUnwanted(one);
    },
    feed,
    async idle() {
      await Promise.all([reader.stop(), begun.idle()]);
    },
  };
}

/** Of the keys of what was chosen: a UUID, and the subscription. */
const webhookOf = (key: string) => key.slice(0, 36);

/** When a delivery is due again after that, by the clock of `performance.now()`; null: it has ended. */
function dueAfter(outcome: Outcome): number | null {
  if (outcome === 'untouched') return performance.now();
  if (outcome === 'kept') return performance.now() + UNRECORDED_MS;
  if (typeof outcome === 'string' || outcome.state !== 'held') return null;
  // A probe that failed has no time of its own: when the next one is due is the circuit's to say.
  return performance.now() + (outcome.retryInMs ?? 0);
}
