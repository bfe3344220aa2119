import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Session } from '../db/session.ts';
import { errorMessage } from '../lib/errors.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import type { OwedDelivery } from './claim.sql.ts';
import type { MayBegin, Outcome } from './courier.ts';
import { createFeeder } from './feeder.ts';
import { BACKLOG_CHANNEL } from './hold.sql.ts';
import type { Lanes } from './lanes.ts';
import { endBacklog, findHeld, findOrphans, leaveBacklogs, takeBacklogs } from './own.sql.ts';

/** Rounds take that share of the time at most, and follow each other within these bounds. */
const ROUND_SHARE = 0.2;
const MIN_PAUSE_MS = 2;
const MAX_PAUSE_MS = 50;
const AFTER_FAILURE_MS = 1_000;
/** A backlog that somebody else was found to send is not asked for again before that. */
const ELSEWHERE_MS = 5_000;
/** What no notification told of is found within this time. */
const SWEEP_MS = 30_000;
/** A backlog with nothing to send is left to whoever is told of the next. */
const IDLE_MS = 60_000;
/** A process sends so many backlogs at a time, and gives up those it has had for long for others. */
const MAX_OWNED = 20_000;
const TURN_MS = 60_000;
const MAX_ORPHANS = 2_000;

/** Who is alive: an owner that is not any more has lost its backlogs. */
export interface Ownership {
  register(ownerId: string): Promise<void>;
  /** For how long nobody else can have taken what is owned here. */
  readonly leaseLeftMs: number;
  onTakenForDead(listener: (ownerIds: readonly string[]) => void): void;
  /** Called when owners were found dead: their backlogs are anybody's. */
  onFreed(listener: () => void): void;
}

export interface BacklogOptions {
  /** For reading by index, with nested loops. */
  readonly pool: pg.Pool;
  readonly session: Session;
  readonly lanes: Lanes;
  readonly subscriptions: SubscriptionCache;
  readonly ownership: Ownership;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery, mayBegin: MayBegin) => Promise<Outcome>;
  readonly log: Logger;
}

export interface Backlog {
  start(): void;
  /** Something was held just now: this process will look after it, unless another one does. */
  notice(subscriptionIds: Iterable<number>): void;
  /** Waits for what is under way, and leaves the backlogs to others. */
  stop(): Promise<void>;
}

/**
 * Owns backlogs: each has one owner among all processes, who sends what is held (feeder.ts). Who is
 * told first that something is held takes it, by a row of `backlogs`; a sweep twice a minute finds
 * what nobody was told of.
 *
 * @param options.session must be given here before it is started, and after the subscriptions.
 */
export function createBacklog(options: BacklogOptions): Backlog {
  const { pool, session, lanes, subscriptions, ownership, attempt, log } = options;
  let owner: string | undefined;
  let beginning = false;
  /** Subscriptions to ask for, and when. */
  const noticed = new Map<number, number>();
  /** Those that have another owner, and until when they are not asked for again. */
  const elsewhere = new Map<number, number>();
  let orphans = false;
  let lookAround = false;
  let sweptAt = performance.now();
  let started = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let dueAt = Number.POSITIVE_INFINITY;
  let running: Promise<void> | undefined;
  const feeder = createFeeder({
    pool,
    lanes,
    subscriptions,
    attempt,
    ownsStill: () => ownership.leaseLeftMs > 0,
    wake,
    log,
  });

  session.listen(BACKLOG_CHANNEL, (payload) => {
    const free = payload.startsWith('free:');
    const ids = payload.slice(free ? 5 : 0).split(',');
    notice(ids.map(Number), free);
  });
  session.listen('posthorn_subscriptions', (payload) => notice([Number(payload)], true));
  session.onConnect(async () => {
    // Nobody told us anything meanwhile.
    lookAround = true;
    wake(0);
  });

  function notice(ids: Iterable<number>, mayBeFree: boolean): void {
    const now = performance.now();
    for (const id of ids) {
      if (feeder.has(id)) {
        feeder.look(id);
        continue;
      }
      const at = mayBeFree ? now : Math.max(now, elsewhere.get(id) ?? 0);
      noticed.set(id, Math.min(at, noticed.get(id) ?? at));
      wake(at - now);
    }
  }

  function wake(delayMs: number): void {
    const at = performance.now() + delayMs;
    if (!started || stopped || at >= dueAt) return;
    dueAt = at;
    // After a round that goes on, its end sets the timer.
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
    let pauseMs = AFTER_FAILURE_MS;
    running = round()
      .then(() => {
        const tookMs = performance.now() - startedAt;
        pauseMs = Math.min(MAX_PAUSE_MS, Math.max(MIN_PAUSE_MS, tookMs / ROUND_SHARE - tookMs));
      })
      .catch((error: unknown) => {
        log.debug({ reason: errorMessage(error) }, 'sending what is held failed');
        dueAt = 0;
      })
      .finally(() => {
        running = undefined;
        if (stopped) return;
        const earliest = performance.now() + pauseMs;
        dueAt = Math.max(earliest, Math.min(dueAt, nextSweepAt()));
        setTimer();
      });
  }

  const nextSweepAt = () => sweptAt + SWEEP_MS;

  async function round(): Promise<void> {
    const me = owner;
    // Not waited for: without a session it may be long, and a stop waits for the round.
    if (me === undefined && !beginning) void beginAnew();
    // Nothing is begun without a lease, and nothing loaded in vain. The next beat renews it.
    if (me === undefined || ownership.leaseLeftMs === 0) return wake(AFTER_FAILURE_MS / 4);
    if (lookAround) await look();
    if (performance.now() >= nextSweepAt()) await sweep(me);
    if (orphans) {
      const ids = await findOrphans(pool, MAX_ORPHANS);
      notice(ids, true);
      orphans = ids.length === MAX_ORPHANS;
    }
    await take(me);
    const { empty, unwanted } = await feeder.feed();
    for (const id of empty) {
      if (await endBacklog(pool, me, id)) release(id);
      else feeder.look(id);
    }
    await leave(me, unwanted, true);
  }

  async function take(me: string): Promise<void> {
    const now = performance.now();
    const ids = [...noticed].filter(([, at]) => at <= now).map(([id]) => id);
    if (ids.length === 0) return;
    if (feeder.size >= MAX_OWNED) return feeder.giveUpAfter(TURN_MS);
    const asked = ids.slice(0, MAX_OWNED - feeder.size);
    // Those that are told of meanwhile are asked for again.
    for (const id of asked) noticed.delete(id);
    try {
      const found = await takeBacklogs(pool, me, asked);
      if (me !== owner) return;
      for (const id of found.elsewhere) elsewhere.set(id, now + ELSEWHERE_MS);
      for (const id of found.taken) {
        elsewhere.delete(id);
        feeder.add(id);
      }
    } catch (error) {
      for (const id of asked) noticed.set(id, now);
      throw error;
    }
  }

  /** Leaves them to whoever takes them next, who is told unless nothing is held. */
  async function leave(me: string, ids: readonly number[], tell: boolean): Promise<void> {
    if (ids.length === 0) return;
    await leaveBacklogs(pool, me, ids, tell);
    for (const id of ids) release(id);
  }

  function release(id: number): void {
    // What came while the statement was under way is for whoever takes it now.
    if (feeder.remove(id)) notice([id], true);
  }

  /** Finds for itself what it was not told of. */
  async function look(): Promise<void> {
    lookAround = false;
    for (const id of feeder.ids) feeder.look(id);
    orphans = true;
    try {
      for (let after: number | null = 0; after !== null && !stopped; ) {
        const { subscriptionIds, next } = await findHeld(pool, after, false);
        notice(subscriptionIds, true);
        after = next;
      }
    } catch (error) {
      lookAround = true;
      throw error;
    }
  }

  async function sweep(me: string): Promise<void> {
    sweptAt = performance.now();
    for (const [id, until] of elsewhere) if (until < sweptAt) elsewhere.delete(id);
    for (let after: number | null = 0; after !== null && !stopped; )
      after = (await findHeld(pool, after, true)).next;
    await leave(me, feeder.idleFor(IDLE_MS), false);
  }

  async function beginAnew(): Promise<void> {
    owner = undefined;
    for (const id of feeder.ids) feeder.remove(id);
    const next = `backlog ${randomUUID()}`;
    // Known as alive before anything is its own, or another one would take it for dead, and both send.
    beginning = true;
    try {
      await ownership.register(next);
      owner = next;
      lookAround = true;
      wake(0);
    } catch (error) {
      // The next round tries again.
      log.debug({ reason: errorMessage(error) }, 'the backlogs have no owner here yet');
    } finally {
      beginning = false;
    }
  }

  return {
    start() {
      started = true;
      ownership.onTakenForDead((ownerIds) => {
        if (owner !== undefined && ownerIds.includes(owner)) void beginAnew();
      });
      ownership.onFreed(() => {
        orphans = true;
        wake(0);
      });
      void beginAnew();
      wake(SWEEP_MS);
    },
    notice: (ids) => notice(ids, false),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
      await feeder.idle();
      if (owner !== undefined && feeder.size > 0)
        await leaveBacklogs(pool, owner, feeder.ids, true).catch(() => {});
    },
  };
}
