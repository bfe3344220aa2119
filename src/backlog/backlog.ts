import type pg from 'pg';
import { readLastStarts } from '../deliveries/hold.sql.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import type { SendPermission } from './may-send.ts';
import { createRateLimiter, type RateLimit, type RateLimiter } from './rate-limit.ts';
import { createSendOrder, type ReadKind, type SendOrder } from './send-order.ts';

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
export interface Backlog {
  readonly id: number;
  readonly ownedSince: number;
  strict: boolean;
  sendOrder: SendOrder;
  /** What of the line is under way. */
  inFlight: number;
  /** There may be more after the line's front. */
  moreAhead: boolean;
  /** Something came that may be anywhere, since transactions do not commit in the order of their ids. */
  rereadWanted: boolean;
  /** Counts what was told of: while a page is read, backlogsthing may come that is not on it. */
  changeCount: number;
  /** A page is being read beside the rounds. */
  longReadUnderWay: boolean;
  lastReadKind: ReadKind | null;
  /** Of the last page of that kind nothing may be sent: there is much to read until backlogsthing may. */
  blockedKind: ReadKind | null;
  /** The sweep that goes on does so then. */
  sweepAt: number;
  /** So many pages in a row did not get as far as the one before. */
  stuckPages: number;
  /** What reading all of it has cost, and when that began; and the same of the sweep that goes on. */
  pass: Pass;
  sweep: Pass;
  rateLimiter: RateLimiter | null;
  rateLimit: RateLimit | null;
  /** Nothing begins before: what should have, found no place. */
  notBefore: number;
  /** When the last request began, minus infinity when none did; undefined: it is not known. */
  lastStartedAt: number | undefined;
  /** Of what may be sent, by the last look. */
  allowed: SendPermission['allowed'];
  /** While its circuit is open: how often each was probed, so that they take turns. */
  readonly probeCounts: Map<string, number>;
  leaving: boolean;
  changedSinceRound: boolean;
  activeAt: number;
  timer: NodeJS.Timeout | undefined;
  /** Rounds, and attempts, that failed in a row. */
  failedRounds: number;
  failedAttempts: number;
  /** It is left out of rounds until then. */
  leftOutUntil: number;
}

/** A backlog that this process has just begun to own: nothing is known of it yet. */
export function createBacklog(id: number, now: number): Backlog {
  return {
    id,
    ownedSince: now,
    strict: false,
    sendOrder: createSendOrder(false),
    inFlight: 0,
    moreAhead: true,
    rereadWanted: false,
    changeCount: 0,
    longReadUnderWay: false,
    lastReadKind: null,
    blockedKind: null,
    sweepAt: 0,
    stuckPages: 0,
    pass: beginPass(now),
    sweep: beginPass(now),
    rateLimiter: null,
    rateLimit: null,
    notBefore: 0,
    lastStartedAt: undefined,
    allowed: 'nothing',
    probeCounts: new Map(),
    leaving: false,
    changedSinceRound: false,
    activeAt: now,
    timer: undefined,
    failedRounds: 0,
    failedAttempts: 0,
    leftOutUntil: 0,
  };
}

export const beginPass = (at: number): Pass => ({ rows: 0, ms: 0, at });

/** Finds out what their subscriptions say, and when those that have a rate were last sent to. */
export async function lookUpSubscriptions(
  pool: pg.Pool,
  subscriptions: SubscriptionCache,
  backlogs: readonly Backlog[],
): Promise<Map<Backlog, CachedSubscription | null>> {
  const known = new Map<Backlog, CachedSubscription | null>();
  await Promise.all(
    backlogs.map(async (backlog) => {
      const peeked = subscriptions.peek(backlog.id);
      known.set(backlog, peeked === undefined ? await subscriptions.get(backlog.id) : peeked);
    }),
  );
  const unknown = backlogs.filter(
    (backlog) => backlog.lastStartedAt === undefined && known.get(backlog)?.rateLimit != null,
  );
  if (unknown.length > 0) {
    const ids = unknown.map(({ id }) => id);
    const agoMs = await readLastStarts(pool, ids);
    const now = performance.now();
    for (const backlog of unknown)
      backlog.lastStartedAt ??= now - (agoMs.get(backlog.id) ?? Number.POSITIVE_INFINITY);
  }
  return known;
}

/** How many requests its rate lets begin now. */
export function permitsOf(backlog: Backlog, limit: RateLimit | null, now: number): number {
  if (limit === null) {
    backlog.rateLimiter = null;
    backlog.rateLimit = null;
    return NEVER;
  }
  if (backlog.rateLimit?.limit !== limit.limit || backlog.rateLimit.perMs !== limit.perMs) {
    backlog.rateLimit = limit;
    backlog.rateLimiter = createRateLimiter(limit, now, backlog.lastStartedAt);
  }
  return (backlog.rateLimiter as RateLimiter).permits(now);
}

/** Whether nothing of it is known to be held, and nothing has to be read. */
export function isDone(
  { sendOrder, moreAhead, rereadWanted, longReadUnderWay }: Backlog,
  now: number,
): boolean {
  const toRead = moreAhead || rereadWanted || longReadUnderWay || sendOrder.isSweeping;
  return (
    !toRead && sendOrder.ready(now) === 0 && Math.min(sendOrder.dueAt, sendOrder.sweepAt) === NEVER
  );
}

/** One webhook that its receiver cannot take must not be all that is tried, for as long as it is held. */
export function probeRankOf({
  allowed,
  probeCounts,
}: Backlog): ((webhookId: string) => number) | undefined {
  return allowed === 'probe' ? (webhookId) => probeCounts.get(webhookId) ?? 0 : undefined;
}

/**
 * A probe is due, and there is nothing to probe with: it is to be read again, after a little while.
 *
 * @returns false when that has gone on for long; the sweep finds what comes then.
 */
export function awaitsProbe(backlog: Backlog, now: number): boolean {
  if (backlog.allowed !== 'probe' || now - backlog.activeAt > LOOK_FOR_MS) return false;
  backlog.moreAhead = true;
  backlog.rereadWanted = true;
  return true;
}
