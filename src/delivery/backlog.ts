import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import type { OwedDelivery } from './claim.sql.ts';
import { endBacklog, leaveBacklogs, loadHeld, takeBacklogs } from './hold.sql.ts';
import type { Lanes } from './lanes.ts';

/** While this process sends a backlog, it looks for room that often. */
const FEED_MS = 100;
/** And for backlogs that nobody sends: soon when one of its own may be new, seldom otherwise. */
const TAKE_MS = 1_000;
const TAKE_IDLE_MS = 10_000;
/** A process sends so many backlogs at a time, and gives up those that get nowhere for others. */
const MAX_OWNED = 200;
const TURN_MS = 60_000;
/** Held deliveries in memory at once, and what their bodies weigh, as far as that is known before. */
const MAX_LOADED = 1_000;
const MAX_LOADED_BYTES = 32 * 1024 * 1024;

/** Who is alive: an owner that is not any more has lost its backlogs. */
export interface Ownership {
  register(ownerId: string): Promise<void>;
  onTakenForDead(listener: (ownerIds: readonly string[]) => void): void;
  /** Called when owners were found dead: their backlogs are anybody's. */
  onFreed(listener: () => void): void;
}

export interface BacklogOptions {
  /** For reading by index, with nested loops. */
  readonly pool: pg.Pool;
  readonly lanes: Lanes;
  readonly ownership: Ownership;
  /** Makes the attempt of a held delivery; settles when it is recorded. */
  readonly attempt: (delivery: OwedDelivery) => Promise<void>;
  readonly log: Logger;
}

export interface Backlog {
  start(): void;
  /** Something was held just now: this process will look after it. */
  notice(subscriptionIds: Iterable<number>): void;
  /** Waits for what is under way, and leaves the backlogs to others. */
  stop(): Promise<void>;
}

interface Owned {
  /** The newest that was loaded: the next ones are after it. */
  after: string | null;
  readonly underWay: Set<string>;
  readonly since: number;
  /** Its turn is over: nothing more is loaded, and when nothing is under way it is left to others. */
  leaving: boolean;
}

/**
 * Sends what is held, the oldest first, as fast as each receiver takes it. A backlog has one owner
 * among all processes, so nothing of it is sent twice; the deliveries themselves stay `held` until
 * their attempt is recorded, so an owner that dies takes nothing with it.
 */
export function createBacklog(options: BacklogOptions): Backlog {
  const { pool, lanes, ownership, attempt, log } = options;
  const owned = new Map<number, Owned>();
  let owner: string | undefined;
  let beginning = false;
  const underWay = new Set<Promise<void>>();
  let meanBytes = 1024;
  let lastTakenAt = Number.NEGATIVE_INFINITY;
  let noticed = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();

  async function beginAnew(): Promise<void> {
    owner = undefined;
    for (const id of owned.keys()) lanes.setBacklogged(id, false);
    owned.clear();
    const next = `backlog ${randomUUID()}`;
    // Known as alive before anything is its own, or another one would take it for dead, and both send.
    beginning = true;
    try {
      await ownership.register(next);
      owner = next;
    } catch (error) {
      // The next round tries again.
      log.debug({ reason: errorMessage(error) }, 'the backlogs have no owner here yet');
    } finally {
      beginning = false;
    }
  }

  async function take(owner: string): Promise<void> {
    lastTakenAt = performance.now();
    noticed = false;
    if (owned.size >= MAX_OWNED) {
      for (const backlog of owned.values())
        backlog.leaving ||= performance.now() - backlog.since > TURN_MS;
    }
    if (owned.size >= MAX_OWNED) return;
    for (const id of await takeBacklogs(pool, owner, MAX_OWNED - owned.size)) {
      owned.set(id, {
        after: null,
        underWay: new Set(),
        since: performance.now(),
        leaving: false,
      });
      lanes.setBacklogged(id, true);
    }
  }

  function letGo(id: number): void {
    owned.delete(id);
    lanes.setBacklogged(id, false);
  }

  async function feed(owner: string): Promise<void> {
    const wanted = [];
    const left = [...owned].filter(([, one]) => one.leaving && one.underWay.size === 0);
    if (left.length > 0) {
      await leaveBacklogs(
        pool,
        owner,
        left.map(([id]) => id),
      );
      for (const [id] of left) letGo(id);
    }
    let free = Math.min(MAX_LOADED, Math.floor(MAX_LOADED_BYTES / meanBytes)) - underWay.size;
    for (const [subscriptionId, { after, leaving }] of owned) {
      if (leaving) continue;
      const most = Math.min(lanes.roomFor(subscriptionId), free);
      if (most <= 0) continue;
      free -= most;
      wanted.push({ subscriptionId, after, most });
    }
    if (wanted.length === 0) return;
    const { deliveries, addedAt } = await loadHeld(pool, wanted);
    for (const delivery of deliveries) send(delivery);
    const found = new Set(deliveries.map(({ subscriptionId }) => subscriptionId));
    for (const { subscriptionId, after } of wanted) {
      const backlog = owned.get(subscriptionId);
      if (found.has(subscriptionId) || backlog === undefined || backlog.underWay.size > 0) continue;
      const added = addedAt.get(subscriptionId);
      // Retries come in with older ids than those that were loaded last.
      if (after !== null) backlog.after = null;
      else if (added === undefined || (await endBacklog(pool, subscriptionId, added)))
        letGo(subscriptionId);
    }
  }

  function send(delivery: OwedDelivery): void {
    const backlog = owned.get(delivery.subscriptionId);
    if (backlog === undefined || backlog.underWay.has(delivery.webhookId)) return;
    backlog.after = delivery.webhookId;
    backlog.underWay.add(delivery.webhookId);
    meanBytes = meanBytes * 0.9 + delivery.body.length * 0.1;
    const done = attempt(delivery)
      .catch((error: unknown) => {
        log.debug({ reason: errorMessage(error) }, 'an attempt of a held delivery failed');
      })
      .finally(() => {
        backlog.underWay.delete(delivery.webhookId);
        underWay.delete(done);
      });
    underWay.add(done);
  }

  async function round(): Promise<void> {
    const me = owner;
    if (me === undefined) {
      // Not waited for: without a session it may be long, and a stop waits for the round.
      if (!beginning) void beginAnew();
      return;
    }
    const since = performance.now() - lastTakenAt;
    if (since > TAKE_IDLE_MS || (noticed && since > TAKE_MS)) await take(me);
    if (owned.size > 0) await feed(me);
  }

  function later(): void {
    timer = setTimeout(
      () => {
        running = round()
          .catch((error: unknown) => {
            log.debug({ reason: errorMessage(error) }, 'sending what is held failed');
          })
          .finally(() => {
            if (!stopped) later();
          });
      },
      owned.size > 0 ? FEED_MS : TAKE_MS,
    );
    timer.unref();
  }

  return {
    start() {
      ownership.onTakenForDead((ownerIds) => {
        if (owner !== undefined && ownerIds.includes(owner)) void beginAnew();
      });
      ownership.onFreed(() => {
        noticed = true;
      });
      void beginAnew();
      later();
    },
    notice(subscriptionIds) {
      for (const id of subscriptionIds) if (!owned.has(id)) noticed = true;
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
      await Promise.all(underWay);
      if (owner !== undefined && owned.size > 0)
        await leaveBacklogs(pool, owner, [...owned.keys()]).catch(() => {});
    },
  };
}
