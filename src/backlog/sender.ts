import type pg from 'pg';
import type { DeliveryMemory } from '../concurrency/delivery-memory.ts';
import type { ReceiverLimits } from '../concurrency/receiver-limit.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import type { OwedDelivery } from '../deliveries/load.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { type Backlog, createBacklog } from './backlog.ts';
import { createFailingBacklogs } from './failing-backlogs.ts';
import { createModes, LEAVING, pauseFor, READY } from './modes.ts';
import { createReader } from './reader.ts';
import { noticeHeld } from './reading.ts';
import { createRound } from './round.ts';

/** Backlogs that one round visits. */
const MAX_ROUND = 500;

export interface SenderOptions {
  readonly pool: pg.Pool;
  readonly receiverLimits: ReceiverLimits;
  readonly memory: DeliveryMemory;
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

export interface Sender {
  /** Begins to send a backlog that this process owns. */
  add(subscriptionId: number): void;
  /** Stops sending a backlog. Returns whether it may have been notified since its last round. */
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
  /** Gives up so many backlogs for good, once they have no attempt in flight, and returns which. */
  giveUpSome(count: number): number[];
  /** Returns whether a backlog is to be given up and has no attempt in flight. */
  isUnwanted(subscriptionId: number): boolean;
  /** Runs one round: sends the deliveries for which there is room. */
  sendReady(): Promise<Finished>;
  /** Stops reading, and resolves when no attempt is in flight. */
  idle(): Promise<void>;
}

/**
 * Sends the backlogs that this process owns: the oldest delivery first, within what the subscription
 * allows (status, rate, requests at once, order) and its receiver takes. Each is in one of the modes
 * of modes.ts; a round (round.ts) visits those that are ready.
 *
 * One sender for each backlog keeps those rules across processes. Deliveries stay `held` until their
 * attempt is recorded, so nothing is lost with an owner that dies.
 */
export function createSender(options: SenderOptions): Sender {
  const { pool, receiverLimits, memory, subscriptions, stillOwns, wake } = options;
  const { attempt, mayRecord, loop, readLoop } = options;
  const backlogs = new Map<number, Backlog>();
  const isOwned = (backlog: Backlog) => backlogs.get(backlog.id) === backlog;
  const modes = createModes<Backlog>(() => wake(0));
  const failing = createFailingBacklogs(loop, (backlog, pauseMs) => {
    if (!isOwned(backlog)) failing.forget(backlog);
    else if (backlog.mode.kind !== 'leaving') modes.setMode(backlog, pauseFor('failure', pauseMs));
  });
  const reader = createReader<Backlog>({
    pool,
    onPage: (backlog) => isOwned(backlog) && modes.stir(backlog),
    onFailure(backlog, pauseMs) {
      if (isOwned(backlog) && backlog.mode.kind === 'waiting')
        modes.setMode(backlog, pauseFor('failure', pauseMs));
    },
    loop: readLoop,
  });
  const round = createRound({
    pool,
    receiverLimits,
    memory,
    subscriptions,
    reader,
    modes,
    failing,
    attempt,
    mayRecord,
    owns: (backlog) => stillOwns() && isOwned(backlog),
    onEnded,
    wake,
  });
  let timeouts = 0;

  /** @param ended the backlog when the attempt began: its ownership may have been lost and taken again. */
  function onEnded(ended: Backlog): void {
    const backlog = backlogs.get(ended.id);
    // Its memory is free for others.
    wake(0);
    if (backlog === undefined) return;
    backlog.activeAt = performance.now();
    modes.stir(backlog);
  }

  const isUnwanted = (backlog: Backlog) =>
    backlog.mode.kind === 'leaving' && round.attempts.countOf(backlog.id) === 0;

  function look(backlog: Backlog): void {
    backlog.activeAt = performance.now();
    if (backlog.reading !== null) noticeHeld(backlog.reading);
    if (backlog.mode.kind === 'leaving' && !backlog.isForOthers) modes.setMode(backlog, READY);
    modes.stir(backlog);
  }

  async function sendReady(): Promise<Finished> {
    const empty: number[] = [];
    const selected = modes.ready(MAX_ROUND);
    const run = async (some: Backlog[]) => {
      for (const { id } of await round.run(some)) empty.push(id);
    };
    // The first timeout may be a slow database; after the second one, another session may lock a row.
    const { errors } = await isolate(selected, run, (error) => {
      if (isTimeout(error)) timeouts += 1;
      return !isUnavailable(error) || (isTimeout(error) && timeouts >= 2);
    });
    if (errors.size === 0) timeouts = 0;
    for (const [backlog, error] of errors) failing.roundFailed(backlog, error);
    failing.report();
    if (selected.length === MAX_ROUND) wake(0);
    return {
      empty,
      unwanted: modes
        .leaving()
        .filter(isUnwanted)
        .map(({ id }) => id),
    };
  }

  return {
    add(id) {
      const known = backlogs.get(id);
      if (known !== undefined) return look(known);
      const backlog = createBacklog(id, performance.now());
      backlogs.set(id, backlog);
      receiverLimits.setBacklogged(id, true);
      modes.setMode(backlog, READY);
      wake(0);
    },
    remove(id) {
      const backlog = backlogs.get(id);
      if (backlog === undefined) return false;
      backlogs.delete(id);
      modes.forget(backlog);
      failing.forget(backlog);
      receiverLimits.pin(id, null);
      receiverLimits.setBacklogged(id, false);
      return backlog.mode.kind === 'ready' || backlog.mode.kind === 'pausing';
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
          ({ id, mode, activeAt }) =>
            mode.kind === 'waiting' &&
            mode.reason === 'deliveries' &&
            activeAt < before &&
            round.attempts.countOf(id) === 0,
        )
        .map(({ id }) => id);
    },
    giveUpAfter(ms) {
      const before = performance.now() - ms;
      for (const backlog of backlogs.values())
        if (backlog.ownedSince <= before) modes.setMode(backlog, LEAVING);
      wake(0);
    },
    giveUpSome(count) {
      const some = [...backlogs.values()].slice(0, count);
      for (const backlog of some) {
        backlog.isForOthers = true;
        modes.setMode(backlog, LEAVING);
      }
      if (some.length > 0) wake(0);
      return some.map(({ id }) => id);
    },
    isUnwanted(id) {
      const backlog = backlogs.get(id);
      return backlog !== undefined && isUnwanted(backlog);
    },
    sendReady,
    async idle() {
      await Promise.all([reader.stop(), round.attempts.idle()]);
    },
  };
}
