import type pg from 'pg';
import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import { loadOwed, type OwedDelivery } from '../deliveries/load.sql.ts';
import { SMALL_BODY_BYTES } from '../deliveries/payloads.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { createAllowance, NO_PLACE_MS, UNRECORDED_MS } from './allowance.ts';
import {
  awaitsProbe,
  type Backlog,
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

/** Backlogs that one round looks into. */
const MAX_ROUND = 500;
/** A receiver that is back is given more step by step: at most twice as much after that time. */
const REFILL_MS = 100;
/** A retry may be due in a year, and no timer goes that far. */
const MAX_TIMER_MS = 3_600_000;

export interface SenderOptions {
  readonly pool: pg.Pool;
  readonly receiverLimits: ReceiverLimits;
  readonly subscriptions: SubscriptionCache;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  /** Whether backlogs that are owned still are. */
  readonly stillOwns: () => boolean;
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
  readonly started: Map<Backlog, number>;
  /** Those for which there was no memory; whatever ends makes some. */
  readonly outOfMemory: Set<Backlog>;
}

export interface Sender {
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
  sendReady(): Promise<Finished>;
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
export function createSender(options: SenderOptions): Sender {
  const {
    pool,
    receiverLimits,
    subscriptions,
    attempt,
    stillOwns,
    wake,
    mayRecord,
    loop,
    readLoop,
  } = options;
  const backlogs = new Map<number, Backlog>();
  /** Those that have something to send, or may have. */
  const toVisit = new Set<Backlog>();
  const failingBacklogs = createFailingBacklogs(loop, (backlog) => {
    if (backlogs.get(backlog.id) !== backlog) return failingBacklogs.forget(backlog);
    toVisit.delete(backlog);
    schedule(backlog, 0);
  });
  const attemptsInFlight = createAttemptsInFlight(receiverLimits);
  const reader = createReader(pool, schedule, readLoop);
  const allowance = createAllowance({ receiverLimits, attemptsInFlight, mayRecord, schedule });
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

  /** Chooses who is next and loads what is to be sent. */
  async function send(allowances: ReadonlyMap<Backlog, number>): Promise<Sent> {
    const now = performance.now();
    const sent: Sent = { started: new Map(), outOfMemory: new Set() };
    const room = attemptsInFlight.room();
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
      // What is not held any more has ended: it was cancelled, or this process lost its ownership.
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
    if (began === 'probe')
      backlog.probeCounts.set(
        delivery.webhookId,
        (backlog.probeCounts.get(delivery.webhookId) ?? 0) + 1,
      );
    backlog.inFlight += 1;
    const mayBegin: MayBegin = (subscription) => {
      const { allowed } = maySend(subscription);
      // What waited for a place since before the circuit opened is no probe.
      return (
        stillOwns() && backlogs.get(id) === backlog && (allowed === 'all' || allowed === began)
      );
    };
    const recorded = attempt(delivery, mayBegin).then(
      (outcome) => {
        failingBacklogs.attemptSucceeded(backlog);
        return outcome;
      },
      (error: unknown): Outcome => {
        failingBacklogs.attemptFailed(backlog, error);
        return 'untouched';
      },
    );
    attemptsInFlight.add(id, Math.min(delivery.bytes, SMALL_BODY_BYTES), recorded, (outcome) => {
      sendOrder.settled(delivery.webhookId, dueAfter(outcome));
      if (outcome === 'untouched') backlog.notBefore = performance.now() + NO_PLACE_MS;
      // Intake does not tell of what it has held meanwhile, and the next probe may be one of these.
      if (began === 'probe') backlog.moreAhead = true;
      // The order may have changed meanwhile, or the ownership.
      if (sendOrder === backlog.sendOrder) backlog.inFlight -= 1;
      const current = backlogs.get(id);
      if (current === undefined) return wake(0);
      current.activeAt = performance.now();
      schedule(current, 0);
    });
  }

  async function sendReady(): Promise<Finished> {
    const selected = [...toVisit].slice(0, MAX_ROUND);
    // Somebody's lock may hold up the statement for all, and so may a database that is slow just now.
    const { errors } = await isolate(selected, sendFrom, (error) => {
      if (isTimeout(error)) timeouts += 1;
      return !isUnavailable(error) || (isTimeout(error) && timeouts >= 2);
    });
    if (errors.size === 0) timeouts = 0;
    for (const [backlog, error] of errors) failingBacklogs.roundFailed(backlog, error);
    failingBacklogs.report();
    const found = finished;
    finished = { empty: [], unwanted: [] };
    return found;
  }

  async function sendFrom(selected: Backlog[]): Promise<void> {
    const subscriptionOf = await lookUpSubscriptions(pool, subscriptions, selected);
    const allowances = new Map<Backlog, number>();
    const now = performance.now();
    for (const backlog of selected) {
      // To the end of the line; and what comes while this round goes on is for the next one.
      toVisit.delete(backlog);
      backlog.changedSinceRound = false;
      if (backlogs.get(backlog.id) !== backlog) continue;
      const most = backlog.leaving
        ? 0
        : allowance(backlog, subscriptionOf.get(backlog) ?? null, now);
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
    for (const backlog of allowances.keys()) failingBacklogs.roundSucceeded(backlog);
    for (const backlog of selected) {
      if (backlogs.get(backlog.id) === backlog && isUnwanted(backlog))
        finished.unwanted.push(backlog.id);
    }
    for (const [backlog, most] of allowances) {
      const subscription = subscriptionOf.get(backlog) ?? null;
      const noRoomLeft = (sent.started.get(backlog) ?? 0) >= most;
      // Where nothing else sets the pace, as many wait in the lane as go until then.
      if (
        noRoomLeft &&
        !backlog.strict &&
        backlog.rateLimiter === null &&
        subscription?.maxInFlight == null
      )
        backlog.notBefore = performance.now() + REFILL_MS;
      if (sent.outOfMemory.has(backlog)) toVisit.add(backlog);
      else if (isEmpty(backlog, noRoomLeft)) {
        if (!subscription?.throughBacklog) finished.empty.push(backlog.id);
        else if (awaitsProbe(backlog, now)) schedule(backlog, LOOK_EVERY_MS);
      }
    }
  }

  const isUnwanted = (backlog: Backlog) => backlog.leaving && attemptsInFlight.of(backlog.id) === 0;

  /** Decides when to look again at a backlog, and returns whether nothing of it is left. */
  function isEmpty(backlog: Backlog, noRoomLeft: boolean): boolean {
    const { sendOrder, rateLimiter } = backlog;
    const now = performance.now();
    const toRead = !backlog.longReadUnderWay && canReadOn(backlog, now);
    if (sendOrder.ready(now) > 0 || toRead) {
      // With no room left, whatever ends makes some, and the time makes room in a rate.
      if (!noRoomLeft) schedule(backlog, 0);
      else if (rateLimiter !== null) schedule(backlog, Math.max(1, rateLimiter.nextInMs(now)));
      return false;
    }
    if (backlog.longReadUnderWay) return false;
    const inMs = Math.min(sweepInMs(backlog, now), Math.max(1, sendOrder.dueAt - now));
    if (inMs === Number.POSITIVE_INFINITY) return attemptsInFlight.of(backlog.id) === 0;
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
      failingBacklogs.forget(backlog);
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
            attemptsInFlight.of(backlog.id) === 0 &&
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
      await Promise.all([reader.stop(), attemptsInFlight.idle()]);
    },
  };
}

/** Of the keys of what was chosen: a UUID, and the subscription. */
const webhookOf = (key: string) => key.slice(0, 36);

/** When a delivery is due again after that, by the clock of `performance.now()`; null: it has ended. */
function dueAfter(outcome: Outcome): number | null {
  if (outcome === 'untouched') return performance.now();
  if (outcome === 'unrecorded') return performance.now() + UNRECORDED_MS;
  if (typeof outcome === 'string' || outcome.state !== 'held') return null;
  // A probe that failed has no time of its own: when the next one is due is the circuit's to say.
  return performance.now() + (outcome.retryInMs ?? 0);
}
