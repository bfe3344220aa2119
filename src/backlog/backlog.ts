import type pg from 'pg';
import { readLastStarts } from '../deliveries/hold.sql.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { type HasMode, READY } from './modes.ts';
import { createRateKeeper, type RateKeeper } from './rate-limit.ts';
import type { Reading } from './reading.ts';

/** The state of a backlog in the process that owns it. */
export interface Backlog extends HasMode {
  readonly id: number;
  readonly ownedSince: number;
  /** When deliveries were held last, or an attempt ended. */
  activeAt: number;
  /** True: it is left to another worker, also if something happens to it meanwhile. */
  isForOthers: boolean;
  readonly rate: RateKeeper;
  /** The part of it that was read. Null while its circuit is open: a probe is chosen by a query. */
  reading: Reading | null;
}

/** Creates the state of a backlog that this process has just begun to own. */
export function createBacklog(id: number, now: number): Backlog {
  return {
    id,
    ownedSince: now,
    activeAt: now,
    mode: READY,
    timer: undefined,
    isForOthers: false,
    rate: createRateKeeper(),
    reading: null,
  };
}

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
    (backlog) => backlog.rate.lastStartedAt === undefined && known.get(backlog)?.rateLimit != null,
  );
  if (unknown.length > 0) {
    const agoMs = await readLastStarts(
      pool,
      unknown.map(({ id }) => id),
    );
    const now = performance.now();
    for (const { id, rate } of unknown)
      rate.lastStartedAt ??= now - (agoMs.get(id) ?? Number.POSITIVE_INFINITY);
  }
  return known;
}
