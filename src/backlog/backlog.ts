import type pg from 'pg';
import { readLastStarts } from '../deliveries/hold.sql.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import type { SendPermission } from './may-send.ts';
import { createRateLimiter, type RateLimit, type RateLimiter } from './rate-limit.ts';
import { createSendOrder, type ReadKind, type SendOrder } from './send-order.ts';

/** When a probe is due and nothing is held to probe with, the owner looks this often, for this long. */
export const LOOK_EVERY_MS = 1_000;
const LOOK_FOR_MS = 60_000;
const NEVER = Number.POSITIVE_INFINITY;

/** The cost of reading a backlog from its beginning to its end. */
export interface Pass {
  rows: number;
  ms: number;
  readonly at: number;
}

/** The state of a backlog in the process that owns it. */
export interface Backlog {
  readonly id: number;
  readonly ownedSince: number;
  strict: boolean;
  sendOrder: SendOrder;
  /** Requests in flight from this backlog, chosen by its present `sendOrder`. */
  inFlight: number;
  /** There may be deliveries after the last page that was read. */
  moreAhead: boolean;
  /** It has to be read again from the beginning: transactions do not commit in the order of their ids. */
  rereadWanted: boolean;
  /** Counts notifications: a delivery that is held while a page is read is not on that page. */
  changeCount: number;
  /** A long page is being read outside of the rounds. */
  longReadUnderWay: boolean;
  lastReadKind: ReadKind | null;
  /** Nothing on the last page of this kind may be sent: long pages are read until something may. */
  blockedKind: ReadKind | null;
  /** When the sweep under way reads its next page. */
  sweepAt: number;
  /** Pages in a row that ended before the place from which reading was to go on. */
  stuckPages: number;
  /** The cost of the last complete read, and of the sweep under way. */
  pass: Pass;
  sweep: Pass;
  rateLimiter: RateLimiter | null;
  rateLimit: RateLimit | null;
  /** No attempt begins before this time: the last one found no place. */
  notBefore: number;
  /** When the last request began; minus infinity: never; undefined: not read from the log yet. */
  lastStartedAt: number | undefined;
  /** How much the subscription allowed at the last look. */
  allowed: SendPermission['allowed'];
  /** Probes of each webhook while the circuit is open, so that webhooks take turns. */
  readonly probeCounts: Map<string, number>;
  leaving: boolean;
  changedSinceRound: boolean;
  activeAt: number;
  timer: NodeJS.Timeout | undefined;
  /** Failures in a row. */
  failedRounds: number;
  failedAttempts: number;
  leftOutUntil: number;
}

/** Creates the state of a backlog that this process has just begun to own. */
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

/** Looks up the subscriptions, and the last request of those with a rate limit. */
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

/** Returns how many requests the rate limit allows now; infinity without one. */
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

/** Returns whether no delivery is known to be held and nothing has to be read. */
export function isDone(
  { sendOrder, moreAhead, rereadWanted, longReadUnderWay }: Backlog,
  now: number,
): boolean {
  const toRead = moreAhead || rereadWanted || longReadUnderWay || sendOrder.isSweeping;
  return (
    !toRead && sendOrder.ready(now) === 0 && Math.min(sendOrder.dueAt, sendOrder.sweepAt) === NEVER
  );
}

/** Counts a probe of a webhook. */
export function countProbe({ probeCounts }: Backlog, webhookId: string): void {
  probeCounts.set(webhookId, (probeCounts.get(webhookId) ?? 0) + 1);
}

/** Ranks webhooks for probes: one that its receiver cannot take must not be the only one tried. */
export function probeRankOf({
  allowed,
  probeCounts,
}: Backlog): ((webhookId: string) => number) | undefined {
  return allowed === 'probe' ? (webhookId) => probeCounts.get(webhookId) ?? 0 : undefined;
}

/**
 * Marks a backlog to be read again when a probe is due and no delivery is there to probe with.
 *
 * @returns false when that has gone on for `LOOK_FOR_MS`; the sweep finds later deliveries.
 */
export function awaitsProbe(backlog: Backlog, now: number): boolean {
  if (backlog.allowed !== 'probe' || now - backlog.activeAt > LOOK_FOR_MS) return false;
  backlog.moreAhead = true;
  backlog.rereadWanted = true;
  return true;
}
