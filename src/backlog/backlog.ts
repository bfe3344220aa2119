import type pg from 'pg';
import { readLastStarts } from '../deliveries/hold.sql.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import type { Feed } from './may-send.ts';
import { createRate, type Rate, type RateLimit } from './rate-limit.ts';
import { createLine, type Line, type ReadKind } from './send-order.ts';

/** When a probe is due and nothing is held, its owner looks that often, and for so long. */
export const LOOK_EVERY_MS = 1_000;
const LOOK_FOR_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;

/** Reading a backlog from its beginning to its end. */
export interface Pass {
  rows: number;
  ms: number;
  readonly at: number;
}

/** What its owner knows of a backlog. */
export interface Owned {
  readonly id: number;
  readonly since: number;
  strict: boolean;
  line: Line;
  /** What of the line is under way. */
  underWay: number;
  /** There may be more after the line's front. */
  more: boolean;
  /** Something came that may be anywhere, since transactions do not commit in the order of their ids. */
  again: boolean;
  /** Counts what was told of: while a page is read, something may come that is not on it. */
  news: number;
  /** A page is being read beside the rounds. */
  reading: boolean;
  lastRead: ReadKind | null;
  /** Of the last page of that kind nothing may be sent: there is much to read until something may. */
  barren: ReadKind | null;
  /** The sweep that goes on does so then. */
  sweepAt: number;
  /** So many pages in a row did not get as far as the one before. */
  stuck: number;
  /** What reading all of it has cost, and when that began; and the same of the sweep that goes on. */
  pass: Pass;
  sweep: Pass;
  rate: Rate | null;
  limit: RateLimit | null;
  /** Nothing begins before: what should have, found no place. */
  notBefore: number;
  /** When the last request began, minus infinity when none did; undefined: it is not known. */
  lastStart: number | undefined;
  /** Of what may be sent, by the last look. */
  what: Feed['what'];
  /** While its circuit is open: how often each was probed, so that they take turns. */
  readonly probed: Map<string, number>;
  leaving: boolean;
  looked: boolean;
  activeAt: number;
  timer: NodeJS.Timeout | undefined;
  /** Rounds, and attempts, that failed in a row. */
  failedRounds: number;
  failedAttempts: number;
  /** It is left out of rounds until then. */
  asideUntil: number;
}

/** A backlog that this process has just begun to own: nothing is known of it yet. */
export function createOwned(id: number, now: number): Owned {
  return {
    id,
    since: now,
    strict: false,
    line: createLine(false),
    underWay: 0,
    more: true,
    again: false,
    news: 0,
    reading: false,
    lastRead: null,
    barren: null,
    sweepAt: 0,
    stuck: 0,
    pass: beginPass(now),
    sweep: beginPass(now),
    rate: null,
    limit: null,
    notBefore: 0,
    lastStart: undefined,
    what: 'nothing',
    probed: new Map(),
    leaving: false,
    looked: false,
    activeAt: now,
    timer: undefined,
    failedRounds: 0,
    failedAttempts: 0,
    asideUntil: 0,
  };
}

export const beginPass = (at: number): Pass => ({ rows: 0, ms: 0, at });

/** Finds out what their subscriptions say, and when those that have a rate were last sent to. */
export async function lookUp(
  pool: pg.Pool,
  subscriptions: SubscriptionCache,
  some: readonly Owned[],
): Promise<Map<Owned, CachedSubscription | null>> {
  const known = new Map<Owned, CachedSubscription | null>();
  await Promise.all(
    some.map(async (one) => {
      const peeked = subscriptions.peek(one.id);
      known.set(one, peeked === undefined ? await subscriptions.get(one.id) : peeked);
    }),
  );
  const unknown = some.filter(
    (one) => one.lastStart === undefined && known.get(one)?.rateLimit != null,
  );
  if (unknown.length > 0) {
    const ids = unknown.map(({ id }) => id);
    const agoMs = await readLastStarts(pool, ids);
    const now = performance.now();
    for (const one of unknown)
      one.lastStart ??= now - (agoMs.get(one.id) ?? Number.POSITIVE_INFINITY);
  }
  return known;
}

/** How many requests its rate lets begin now. */
export function permitsOf(one: Owned, limit: RateLimit | null, now: number): number {
  if (limit === null) {
    one.rate = null;
    one.limit = null;
    return NEVER;
  }
  if (one.limit?.limit !== limit.limit || one.limit.perMs !== limit.perMs) {
    one.limit = limit;
    one.rate = createRate(limit, now, one.lastStart);
  }
  return (one.rate as Rate).permits(now);
}

/** Whether nothing of it is known to be held, and nothing has to be read. */
export function isDone({ line, more, again, reading }: Owned, now: number): boolean {
  const toRead = more || again || reading || line.isSweeping;
  return !toRead && line.ready(now) === 0 && Math.min(line.dueAt, line.sweepAt) === NEVER;
}

/** One webhook that its receiver cannot take must not be all that is tried, for as long as it is held. */
export function turnOf({ what, probed }: Owned): ((webhookId: string) => number) | undefined {
  return what === 'probe' ? (webhookId) => probed.get(webhookId) ?? 0 : undefined;
}

/**
 * A probe is due, and there is nothing to probe with: it is to be read again, after a little while.
 *
 * @returns false when that has gone on for long; the sweep finds what comes then.
 */
export function looksForProbe(one: Owned, now: number): boolean {
  if (one.what !== 'probe' || now - one.activeAt > LOOK_FOR_MS) return false;
  one.more = true;
  one.again = true;
  return true;
}
