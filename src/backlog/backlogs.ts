import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Limiter } from '../concurrency/limiter.ts';
import { isUnavailable, mayBeOfRows } from '../db/availability.ts';
import type { Session } from '../db/session.ts';
import { BACKLOG_CHANNEL } from '../deliveries/backlogs.sql.ts';
import type { OwedDelivery } from '../deliveries/load.sql.ts';
import { isolate } from '../lib/isolate.ts';
import type { Loop, LoopHealth } from '../lib/loop-health.ts';
import { createStep } from '../lib/step.ts';
import type { MayBegin, Outcome } from '../sending/courier.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import { excessOf } from './excess.ts';
import {
  countOwned,
  endBacklog,
  findHeld,
  findOrphans,
  leaveBacklogs,
  OWNER_NAMES,
} from './ownership.sql.ts';
import { createSender } from './sender.ts';
import { createOwnershipTaking } from './taking-ownership.ts';

/** Rounds take this share of the time at most; the pauses between them stay within these bounds. */
const ROUND_SHARE = 0.2;
const MIN_PAUSE_MS = 2;
const MAX_PAUSE_MS = 50;
const NO_LEASE_MS = 250;
/** Long reads only go on while there is a long backlog. */
const READ_FORGOTTEN_MS = 60_000;
/** Deliveries whose notification was missed are found within this time, by the oldest worker. */
const SWEEP_MS = 30_000;
/** The others look for them at every so many sweeps, in case that the oldest one cannot. */
const SPARE_PACE = 20;
/** A backlog without deliveries for this long is released; the next notification gives it an owner. */
const IDLE_MS = 60_000;
const MAX_ORPHANS = 2_000;

/** The lease of this process: an owner that loses it has lost its backlogs. */
export interface Ownership {
  register(ownerId: string): Promise<void>;
  /** Until another process may take the backlogs of this one. */
  readonly leaseLeftMs: number;
  onTakenForDead(listener: (ownerIds: readonly string[]) => void): void;
  /** Called when owners were found dead and their backlogs are free. */
  onFreed(listener: () => void): void;
  /** Called with the number of worker processes that are older than this one. */
  onOlder(listener: (workers: number) => void): void;
}

export interface BacklogsOptions {
  /** A pool whose connections use the planner settings `POOL_PLANS.backlog`. */
  readonly pool: pg.Pool;
  readonly session: Session;
  readonly limiter: Limiter;
  readonly subscriptions: SubscriptionCache;
  readonly ownership: Ownership;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  /** Returns whether the result of another attempt could be recorded. */
  readonly mayRecord: (subscriptionId: number) => boolean;
  readonly health: LoopHealth;
}

export interface Backlogs {
  start(): void;
  /** Deliveries were held just now: this process takes their backlogs, unless another one has them. */
  notice(subscriptionIds: Iterable<number>): void;
  /** Waits for attempts in flight, and releases the backlogs to other processes. */
  stop(): Promise<void>;
}

/**
 * Owns backlogs. Each has one owner among all processes, which sends its deliveries (sender.ts). The
 * first process that is notified of a held delivery takes the backlog, by a row of `backlogs`; a
 * sweep twice a minute finds backlogs whose notification was missed, and leaves some to processes that have fewer.
 *
 * @param options.session not started yet, and given to the subscription cache before.
 */
export function createBacklogs(options: BacklogsOptions): Backlogs {
  const { pool, session, limiter, subscriptions, ownership, attempt, mayRecord, health } = options;
  let owner: string | undefined;
  let registering = false;
  /** Empty backlogs, whose rows are to be deleted, and backlogs to release to other processes. */
  const toEnd = new Set<number>();
  const toLeave = new Set<number>();
  /** Backlogs that are released so that a process with fewer takes them. */
  const forOthers = new Set<number>();
  let mayHaveOrphans = false;
  let mayHaveMissed = false;
  let sweptAt = performance.now();
  let sweeps = 0;
  let isOldest = true;
  let started = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;
  const sendLoop = health.watch('send_backlogs', 'sending held deliveries');
  const step = (loop: Loop) => createStep(loop, wake);
  const ownStep = step(health.watch('own_backlogs', 'registering as an owner of backlogs'));
  const findStep = step(health.watch('find_backlogs', 'finding backlogs without an owner'));
  const takeLoop = health.watch('take_backlogs', 'taking backlogs');
  const leaveStep = step(health.watch('leave_backlogs', 'ending and releasing backlogs'));
  // These steps report success themselves: a round may succeed while one backlog goes on failing.
  const takeStep = step({ ...takeLoop, succeeded() {} });
  const sendStep = step({ ...sendLoop, succeeded() {} });
  const sender = createSender({
    pool,
    receiverLimits: limiter.receiverLimits,
    memory: limiter.memory,
    subscriptions,
    attempt,
    stillOwns: () => ownership.leaseLeftMs > 0,
    wake,
    mayRecord,
    loop: sendLoop,
    readLoop: health.watch('read_backlogs', 'reading long backlogs', READ_FORGOTTEN_MS),
  });

  const taking = createOwnershipTaking({
    pool,
    sender,
    ownerNow: () => owner,
    wake,
    loop: takeLoop,
  });
  const { notice } = taking;

  session.listen(BACKLOG_CHANNEL, (payload) => {
    const free = payload.startsWith('free:');
    const ids = payload.slice(free ? 5 : 0).split(',');
    notice(ids.map(Number), free);
  });
  session.listen('posthorn_subscriptions', (payload) => notice([Number(payload)], true));
  session.onConnect(async () => {
    // Notifications were lost while there was no session.
    mayHaveMissed = true;
    wake(0);
  });

  function wake(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (!started || stopped || at >= dueAt) return;
    dueAt = at;
    // The end of a running round sets the timer.
    if (running === undefined) setTimer();
  }

  function setTimer(): void {
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, dueAt - performance.now()));
    timer.unref();
  }

  function run(): void {
    dueAt = Number.POSITIVE_INFINITY;
    const startedAt = performance.now();
    running = round().finally(() => {
      running = undefined;
      if (stopped) return;
      const now = performance.now();
      const tookMs = now - startedAt;
      const pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, tookMs / ROUND_SHARE - tookMs));
      dueAt = Math.max(now + pauseMs, Math.min(dueAt, nextSweepAt()));
      setTimer();
    });
  }

  const nextSweepAt = () => Math.max(sweptAt + SWEEP_MS, findStep.notBefore);

  /** Runs all steps once. A step that fails is left out for a while and stops no other step. */
  async function round(): Promise<void> {
    const ownerId = owner;
    // Not awaited: without a session it may take long, and a stop waits for the round.
    if (ownerId === undefined && !registering) void ownStep.run(beginAnew);
    // No attempt may begin without a lease, so nothing is loaded. The next beat renews it.
    if (ownerId === undefined || ownership.leaseLeftMs === 0) return wake(NO_LEASE_MS);
    await findStep.run(() => find(ownerId));
    await takeStep.run(() => taking.run(ownerId));
    await sendStep.run(async () => {
      const { empty, unwanted } = await sender.sendReady();
      for (const id of empty) toEnd.add(id);
      for (const id of unwanted) toLeave.add(id);
    });
    await leaveStep.run(() => leave(ownerId));
  }

  /** Finds backlogs whose notification was missed. */
  async function find(ownerId: string): Promise<void> {
    if (mayHaveMissed) await look();
    if (performance.now() >= sweptAt + SWEEP_MS) await sweep(ownerId);
    if (!mayHaveOrphans) return;
    const ids = await findOrphans(pool, MAX_ORPHANS);
    notice(ids, true);
    mayHaveOrphans = ids.length === MAX_ORPHANS;
  }

  /** Ends the backlogs that are empty, and releases those that others may have. */
  async function leave(ownerId: string): Promise<void> {
    const failures: unknown[] = [];
    for (const id of toEnd) {
      try {
        if (await endBacklog(pool, ownerId, id)) release(id);
        else sender.look(id);
        toEnd.delete(id);
      } catch (error) {
        failures.push(error);
        if (isUnavailable(error)) break;
      }
    }
    const leaving = async (ids: number[]) => {
      taking.leaveToOthers(ids.filter((id) => forOthers.has(id)));
      await leaveTo(ownerId, ids, true);
      for (const id of ids) toLeave.delete(id);
      for (const id of ids) forOthers.delete(id);
    };
    // A backlog that became sendable again meanwhile stays.
    for (const id of toLeave) if (!sender.isUnwanted(id)) toLeave.delete(id);
    const { errors } = await isolate([...toLeave], leaving, mayBeOfRows);
    failures.push(...errors.values());
    if (failures.length > 0) throw failures[0];
  }

  /** Releases backlogs to the next process that takes them. */
  async function leaveTo(ownerId: string, ids: readonly number[], tell: boolean): Promise<void> {
    if (ids.length === 0) return;
    await leaveBacklogs(pool, ownerId, ids, tell);
    for (const id of ids) release(id);
  }

  function release(id: number): void {
    // A notification that came while the statement ran would be lost with the backlog's state.
    if (sender.remove(id)) notice([id], true);
  }

  async function look(): Promise<void> {
    mayHaveMissed = false;
    for (const id of sender.ids) sender.look(id);
    mayHaveOrphans = true;
    try {
      for (let after: number | null = 0; after !== null && !stopped; ) {
        const { subscriptionIds, next } = await findHeld(pool, after, false);
        notice(subscriptionIds, true);
        after = next;
      }
    } catch (error) {
      mayHaveMissed = true;
      throw error;
    }
  }

  async function sweep(ownerId: string): Promise<void> {
    const now = performance.now();
    taking.forgetElsewhere();
    const looks = isOldest || sweeps % SPARE_PACE === 0;
    for (let after: number | null = looks ? 0 : null; after !== null && !stopped; )
      after = (await findHeld(pool, after, true)).next;
    sweeps += 1;
    await leaveTo(ownerId, sender.idleFor(IDLE_MS), false);
    await shareOut();
    sweptAt = now;
  }

  /** Leaves backlogs to workers that have fewer, such as one that has just started. */
  async function shareOut(): Promise<void> {
    const mine = sender.size;
    if (mine < 2) return;
    const excess = excessOf({ mine, ...(await countOwned(pool)) });
    for (const id of sender.giveUpSome(excess)) forOthers.add(id);
  }

  function loseAll(): void {
    owner = undefined;
    toEnd.clear();
    toLeave.clear();
    forOthers.clear();
    for (const id of sender.ids) sender.remove(id);
  }

  async function beginAnew(): Promise<void> {
    loseAll();
    const next = `${OWNER_NAMES}${randomUUID()}`;
    // Registered before it owns anything, or another process would take it for dead, and both would send.
    registering = true;
    try {
      await ownership.register(next);
      owner = next;
      mayHaveMissed = true;
      wake(0);
    } finally {
      registering = false;
    }
  }

  return {
    start() {
      started = true;
      ownership.onTakenForDead((ownerIds) => {
        if (owner === undefined || !ownerIds.includes(owner)) return;
        loseAll();
        wake(0);
      });
      ownership.onFreed(() => {
        mayHaveOrphans = true;
        wake(0);
      });
      ownership.onOlder((workers) => {
        isOldest = workers === 0;
      });
      void ownStep.run(beginAnew);
      wake(SWEEP_MS);
    },
    notice: (ids) => notice(ids, false),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
      await sender.idle();
      if (owner !== undefined && sender.size > 0)
        await leaveBacklogs(pool, owner, sender.ids, true).catch(() => {});
    },
  };
}
