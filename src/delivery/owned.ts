import type pg from 'pg';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { readHeld, readLastStarts } from './hold.sql.ts';
import { createLine, type Line } from './line.ts';
import type { Feed } from './may-feed.ts';
import { createRate, type Rate, type RateLimit } from './rate.ts';

/** What is read of a backlog at once: ids, without bodies. */
const MAX_PAGE = 1_000;
const MIN_PAGE = 100;
/** Reading a long backlog again from its beginning takes that share of the time at most. */
const REREAD_SHARE = 0.05;

/** When a probe is due and nothing is held, its owner looks that often, and for so long. */
export const LOOK_EVERY_MS = 1_000;
const LOOK_FOR_MS = 60_000;

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
  /** What reading from the beginning has cost, and when it began. */
  pass: { rows: number; ms: number; at: number };
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
    pass: { rows: 0, ms: 0, at: now },
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
  };
}

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
    return Number.POSITIVE_INFINITY;
  }
  if (one.limit?.limit !== limit.limit || one.limit.perMs !== limit.perMs) {
    one.limit = limit;
    one.rate = createRate(limit, now, one.lastStart);
  }
  return (one.rate as Rate).permits(now);
}

/** Whether nothing of it is known to be held, and nothing has to be read. */
export function isDone({ line, more, again }: Owned, now: number): boolean {
  return line.ready(now) === 0 && line.dueAt === Number.POSITIVE_INFINITY && !more && !again;
}

/**
 * When it may be read again from the beginning: at once if that is little, or nothing of it is left
 * but what is under way. Otherwise seldom, and not before its end was reached: what is found then
 * was committed later than ids that are greater.
 */
export function rereadInMs({ strict, more, pass }: Owned, now: number): number {
  if (pass.rows <= MAX_PAGE) return 0;
  if (more) return Number.POSITIVE_INFINITY;
  return strict ? Math.max(0, pass.ms / REREAD_SHARE - (now - pass.at)) : 0;
}

/** Reads on in each of these backlogs whose line does not fill the room that it has. */
export async function readOn(
  pool: pg.Pool,
  rooms: ReadonlyMap<Owned, number>,
  now: number,
): Promise<void> {
  const asked = [];
  for (const [one, room] of rooms) {
    const { line, strict } = one;
    if (one.again && rereadInMs(one, now) === 0) {
      line.restart();
      one.again = false;
      one.more = true;
      one.pass = { rows: 0, ms: 0, at: now };
    }
    if (line.ready(now) >= room) continue;
    const passed = line.passedAfter;
    if (passed === null && (!one.more || line.full)) continue;
    asked.push({
      one,
      fills: passed !== null,
      subscriptionId: one.id,
      after: passed ?? line.front,
      most: strict ? MAX_PAGE : Math.min(MAX_PAGE, Math.max(MIN_PAGE, 2 * room)),
      keyed: strict,
    });
  }
  if (asked.length === 0) return;
  const rows = await readHeld(pool, asked);
  const at = performance.now();
  const pages = Map.groupBy(rows, ({ subscriptionId }) => subscriptionId);
  for (const { one, fills, subscriptionId, most } of asked) {
    const page = (pages.get(subscriptionId) ?? []).map(({ webhookId, key, dueInMs }) => ({
      webhookId,
      key,
      dueAt: dueInMs <= 0 ? at : at + dueInMs,
    }));
    const full = page.length === most;
    if (fills) {
      one.line.fill(page, full);
      continue;
    }
    one.line.add(page);
    // Something may have come since the page was read.
    one.more = full || one.looked;
    one.pass.rows += page.length;
    one.pass.ms += (at - now) / asked.length;
  }
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
