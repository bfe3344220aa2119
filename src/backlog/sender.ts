import type pg from 'pg';
import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import { loadOwed, type OwedDelivery } from '../deliveries/load.sql.ts';
import { SMALL_BODY_BYTES } from '../deliveries/payloads.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { createAllowance, dueAfter, NO_PLACE_MS } from './allowance.ts';
import {
  awaitsProbe,
  type Backlog,
  countProbe,
  createBacklog,
  isDone,
  LOOK_EVERY_MS,
  lookUpSubscriptions,
  probeRankOf,
} from './backlog.ts';
import { createFailingBacklogs } from './failing-backlogs.ts';
import { createAttemptsInFlight } from './in-flight.ts';
import { maySend } from './may-send.ts';
import { canReadOn, createReader, sweepInMs } from './reader.ts';

/** Backlogs that one round visits. */
const MAX_ROUND = 500;
/** A backlog that used all its room waits this long, so that a receiver that is back gets more step by step. */
const REFILL_MS = 100;
/** A retry may be due in a year, and no timer goes that far. */
const MAX_TIMER_MS = 3_600_000;

export interface SenderOptions {
  readonly pool: pg.Pool;
  readonly receiverLimits: ReceiverLimits;
  readonly subscriptions: SubscriptionCache;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  /** Returns whether this process still owns its backlogs. */
  readonly stillOwns: () => boolean;
  /** Asks for a round in so many milliseconds. */
  readonly wake: (delayMs: number) => void;
  /** Returns whether the result of another attempt could be recorded. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  /** Told of rounds and attempts of single backlogs that fail, and when none fails any more. */
  readonly loop: Loop;
  /** Told of the long reads outside of the rounds. */
  readonly readLoop: Loop;
}

/** Backlogs that a round found to be finished. */
export interface Finished {
  /** They hold no delivery. */
  readonly empty: number[];
  /** Nothing may be sent for now, or another process may have them. */
  readonly unwanted: number[];
}

/** The result of sending in one round. */
interface Sent {
  readonly started: Map<Backlog, number>;
  /** Backlogs for which there was no memory until some attempt ends. */
  readonly outOfMemory: Set<Backlog>;
}

export interface Sender {
  /** Begins to send a backlog that this process owns. */
  add(subscriptionId: number): void;
  /** Stops sending a backlog. Returns whether it was notified since its last round. */
  remove(subscriptionId: number): boolean;
  /** Looks again: a delivery was held, or the subscription has changed. */
  look(subscriptionId: number): void;
  has(subscriptionId: number): boolean;
  readonly ids: number[];
  readonly size: number;
  /** Returns backlogs that have held nothing for that long. */
  idleFor(ms: number): number[];
  /** Gives up backlogs owned for that long, once they have no attempt in flight. */
  giveUpAfter(ms: number): void;
  /** Returns whether a backlog is to be given up and has no attempt in flight. */
  isUnwanted(subscriptionId: number): boolean;
  /** Runs one round: sends the deliveries for which there is room. */
  sendReady(): Promise<Finished>;
  /** Stops reading, and resolves when no attempt is in flight. */
  idle(): Promise<void>;
}

/**
 * Sends the backlogs that this process owns: the oldest delivery first, within what the subscription
 * allows (status, rate, requests at once, order) and its receiver takes.
 *
 * One sender for each backlog keeps those rules across processes. Deliveries stay `held` until their
 * attempt is recorded, so nothing is lost with an owner that dies.
 */
export function createSender(options: SenderOptions): Sender {
  const { pool, receiverLimits, subscriptions, attempt, stillOwns, wake } = options;
  const { mayRecord, loop, readLoop } = options;
  const backlogs = new Map<number, Backlog>();
  /** Backlogs that the next rounds visit, since they may have something to send. */
  const toVisit = new Set<Backlog>();
  const failing = createFailingBacklogs(loop, (backlog) => {
    if (!isOwned(backlog)) return failing.forget(backlog);
    toVisit.delete(backlog);
    schedule(backlog, 0);
  });
  const attempts = createAttemptsInFlight(receiverLimits);
  const reader = createReader(pool, schedule, readLoop);
  const allowance = createAllowance({ receiverLimits, attempts, mayRecord, schedule });
  const isOwned = (backlog: Backlog) => backlogs.get(backlog.id) === backlog;
  let finished: Finished = { empty: [], unwanted: [] };
  let timeouts = 0;

  function schedule(backlog: Backlog, wantedInMs: number): void {
    clearTimeout(backlog.timer);
    backlog.timer = undefined;
    const inMs = Math.max(wantedInMs, backlog.leftOutUntil - performance.now());
    if (inMs <= 0) {
      toVisit.add(backlog);
      wake(0);
      return;
    }
    backlog.timer = setTimeout(() => schedule(backlog, 0), Math.ceil(Math.min(inMs, MAX_TIMER_MS)));
    backlog.timer.unref();
  }

  /** Chooses the next deliveries, loads them and begins their attempts. */
  async function send(allowances: ReadonlyMap<Backlog, number>): Promise<Sent> {
    const now = performance.now();
    const sent: Sent = { started: new Map(), outOfMemory: new Set() };
    const room = attempts.room();
    const chosen = new Map<string, Backlog>();
    for (const [backlog, most] of allowances) {
      const free = room.for(backlog.id, most);
      const ids = free === 0 ? [] : backlog.sendOrder.next(free, now, probeRankOf(backlog));
      if (free < most && ids.length >= free) sent.outOfMemory.add(backlog);
      room.take(backlog.id, ids.length);
      for (const webhookId of ids) chosen.set(`${webhookId}.${backlog.id}`, backlog);
    }
    if (chosen.size === 0) return sent;
    const keys = {
      webhooks: [...chosen.keys()].map(webhookOf),
      subscriptions: [...chosen.values()].map(({ id }) => id),
    };
    try {
      for (const delivery of await loadOwed(pool, keys, 'held')) {
        const key = `${delivery.webhookId}.${delivery.subscriptionId}`;
        const backlog = chosen.get(key);
        if (backlog === undefined) continue;
        chosen.delete(key);
        begin(backlog, delivery);
        sent.started.set(backlog, (sent.started.get(backlog) ?? 0) + 1);
      }
      // The others are no longer held: they were cancelled, or this process lost its ownership.
      for (const [key, backlog] of chosen) backlog.sendOrder.settled(webhookOf(key), null);
      return sent;
    } catch (error) {
      for (const [key, backlog] of chosen) backlog.sendOrder.settled(webhookOf(key), now);
      throw error;
    }
  }

  function begin(backlog: Backlog, delivery: OwedDelivery): void {
    const { id, sendOrder, allowed: began } = backlog;
    const now = performance.now();
    backlog.rateLimiter?.take(1, now);
    backlog.lastStartedAt = now;
    if (began === 'probe') countProbe(backlog, delivery.webhookId);
    backlog.inFlight += 1;
    const mayBegin: MayBegin = (subscription) => {
      const { allowed } = maySend(subscription);
      // An attempt that waited for a place since before the circuit opened is no probe.
      return stillOwns() && isOwned(backlog) && (allowed === 'all' || allowed === began);
    };
    const recorded = attempt(delivery, mayBegin).then(
      (outcome) => {
        failing.attemptSucceeded(backlog);
        return outcome;
      },
      (error: unknown): Outcome => {
        failing.attemptFailed(backlog, error);
        return 'untouched';
      },
    );
    attempts.add(id, Math.min(delivery.bytes, SMALL_BODY_BYTES), recorded, (outcome) => {
      sendOrder.settled(delivery.webhookId, dueAfter(outcome));
      if (outcome === 'untouched') backlog.notBefore = performance.now() + NO_PLACE_MS;
      // Intake sends no notification while the circuit is open; the next probe may be a newer delivery.
      if (began === 'probe') backlog.moreAhead = true;
      // The counter was reset if the order or the ownership has changed meanwhile.
      if (sendOrder === backlog.sendOrder) backlog.inFlight -= 1;
      const current = backlogs.get(id);
      if (current === undefined) return wake(0);
      current.activeAt = performance.now();
      schedule(current, 0);
    });
  }

  async function sendReady(): Promise<Finished> {
    const selected = [...toVisit].slice(0, MAX_ROUND);
    // The first timeout may be a slow database; after the second one, another session may lock a row.
    const { errors } = await isolate(selected, sendFrom, (error) => {
      if (isTimeout(error)) timeouts += 1;
      return !isUnavailable(error) || (isTimeout(error) && timeouts >= 2);
    });
    if (errors.size === 0) timeouts = 0;
    for (const [backlog, error] of errors) failing.roundFailed(backlog, error);
    failing.report();
    const found = finished;
    finished = { empty: [], unwanted: [] };
    return found;
  }

  async function sendFrom(selected: Backlog[]): Promise<void> {
    const subscriptionOf = await lookUpSubscriptions(pool, subscriptions, selected);
    const allowances = new Map<Backlog, number>();
    const now = performance.now();
    for (const backlog of selected) {
      // Removed before the round, so that a notification during it counts for the next one.
      toVisit.delete(backlog);
      backlog.changedSinceRound = false;
      if (!isOwned(backlog)) continue;
      const subscription = subscriptionOf.get(backlog) ?? null;
      const most = backlog.leaving ? 0 : allowance(backlog, subscription, now);
      if (most > 0) allowances.set(backlog, most);
    }
    let sent: Sent;
    try {
      await reader.read(allowances, now);
      sent = await send(allowances);
    } catch (error) {
      for (const backlog of selected) toVisit.add(backlog);
      throw error;
    }
    for (const backlog of allowances.keys()) failing.roundSucceeded(backlog);
    for (const backlog of selected) {
      if (isOwned(backlog) && isUnwanted(backlog)) finished.unwanted.push(backlog.id);
    }
    for (const [backlog, most] of allowances) {
      const subscription = subscriptionOf.get(backlog) ?? null;
      const noRoomLeft = (sent.started.get(backlog) ?? 0) >= most;
      // With no other limit, enough requests wait at the receiver's limit for this time.
      const { strict, rateLimiter } = backlog;
      if (noRoomLeft && !strict && rateLimiter === null && subscription?.maxInFlight == null)
        backlog.notBefore = performance.now() + REFILL_MS;
      if (sent.outOfMemory.has(backlog)) toVisit.add(backlog);
      else if (isEmpty(backlog, noRoomLeft)) {
        if (!subscription?.throughBacklog) finished.empty.push(backlog.id);
        else if (awaitsProbe(backlog, now)) schedule(backlog, LOOK_EVERY_MS);
      }
    }
  }

  const isUnwanted = (backlog: Backlog) => backlog.leaving && attempts.countOf(backlog.id) === 0;

  /** Plans the next look at a backlog, and returns whether it is empty. */
  function isEmpty(backlog: Backlog, noRoomLeft: boolean): boolean {
    const { sendOrder, rateLimiter } = backlog;
    const now = performance.now();
    const toRead = !backlog.longReadUnderWay && canReadOn(backlog, now);
    if (sendOrder.ready(now) > 0 || toRead) {
      // With no room left, an attempt that ends looks again; a rate limit makes room with time.
      if (!noRoomLeft) schedule(backlog, 0);
      else if (rateLimiter !== null) schedule(backlog, Math.max(1, rateLimiter.nextInMs(now)));
      return false;
    }
    if (backlog.longReadUnderWay) return false;
    const inMs = Math.min(sweepInMs(backlog, now), Math.max(1, sendOrder.dueAt - now));
    if (inMs === Number.POSITIVE_INFINITY) return attempts.countOf(backlog.id) === 0;
    schedule(backlog, inMs);
    return false;
  }

  function look(backlog: Backlog): void {
    backlog.moreAhead = true;
    backlog.rereadWanted = true;
    backlog.changeCount += 1;
    backlog.changedSinceRound = true;
    backlog.leaving = false;
    backlog.activeAt = performance.now();
    schedule(backlog, 0);
  }

  return {
    add(id) {
      const known = backlogs.get(id);
      if (known !== undefined) return look(known);
      const backlog = createBacklog(id, performance.now());
      backlogs.set(id, backlog);
      receiverLimits.setBacklogged(id, true);
      schedule(backlog, 0);
    },
    remove(id) {
      const backlog = backlogs.get(id);
      if (backlog === undefined) return false;
      clearTimeout(backlog.timer);
      backlogs.delete(id);
      toVisit.delete(backlog);
      failing.forget(backlog);
      receiverLimits.pin(id, null);
      receiverLimits.setBacklogged(id, false);
      return backlog.changedSinceRound;
    },
    look(id) {
      const backlog = backlogs.get(id);
      if (backlog !== undefined) look(backlog);
    },
    has: (id) => backlogs.has(id),
    get ids() {
      return [...backlogs.keys()];
    },
    get size() {
      return backlogs.size;
    },
    idleFor(ms) {
      const before = performance.now() - ms;
      return [...backlogs.values()]
        .filter(
          (backlog) =>
            backlog.activeAt < before &&
            attempts.countOf(backlog.id) === 0 &&
            isDone(backlog, performance.now()),
        )
        .map(({ id }) => id);
    },
    giveUpAfter(ms) {
      const before = performance.now() - ms;
      for (const backlog of backlogs.values()) {
        if (backlog.ownedSince > before) continue;
        backlog.leaving = true;
        schedule(backlog, 0);
      }
    },
    isUnwanted(id) {
      const backlog = backlogs.get(id);
      return backlog !== undefined && isUnwanted(backlog);
    },
    sendReady,
    async idle() {
      await Promise.all([reader.stop(), attempts.idle()]);
    },
  };
}

/** The webhook's id in `<webhook id>.<subscription id>`. */
const webhookOf = (key: string) => key.slice(0, 36);
