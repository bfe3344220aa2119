import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Loop } from '../lib/loop-health.ts';
import { type Backlog, beginPass } from './backlog.ts';
import { type HeldPageRequest, readHeld } from './read-held.sql.ts';
import type { HeldPage, ReadKind, SendOrder } from './send-order.ts';

/** Rows that a round reads of a backlog: ids, without bodies. */
const MAX_PAGE = 1_000;
const MIN_PAGE = 100;
/** Rows that a round reads of all strictly ordered backlogs together. */
const MAX_STRICT = 20_000;
/** Rows of a page that is read outside of the rounds, since nothing on the last page may be sent. */
const LONG_PAGE = 20_000;
/** Pause after a long page, as a multiple of its duration; longer in a sweep, which is not urgent. */
const REST = 1;
const SWEEP_REST = 4;
/** Sweeps of a long backlog take at most this share of the time. */
const SWEEP_SHARE = 0.05;

/** A page that is to be read of a backlog. */
interface PageRequest {
  readonly backlog: Backlog;
  readonly sendOrder: SendOrder;
  readonly kind: ReadKind;
  readonly most: number;
}

/** A page that is being read. */
interface PageRead extends PageRequest, HeldPageRequest {
  readonly place: string | null;
  /** The backlog's `changeCount` when the read began. */
  readonly changeCount: number;
}

export interface Reader {
  /** Reads on in each of these backlogs that has fewer deliveries ready than room to send. */
  read(rooms: ReadonlyMap<Backlog, number>, now: number): Promise<void>;
  /** Begins no more reads, and waits for the one under way. */
  stop(): Promise<void>;
}

/**
 * Reads backlogs page by page into their send orders. Rounds wait for short pages. Where hundreds of
 * thousands of deliveries wait behind a blocked key, long pages are read outside of the rounds, one at
 * a time, so that no backlog waits for the length of another.
 *
 * @param wake called when a backlog may have something to send.
 * @param loop told how long pages go; errors of short pages reject `read`.
 */
export function createReader(
  pool: pg.Pool,
  wake: (backlog: Backlog, inMs: number) => void,
  loop: Loop,
): Reader {
  const long: PageRequest[] = [];
  let running = false;
  let currentRead: Promise<unknown> | undefined;
  let stopped = false;

  async function runLong(): Promise<void> {
    running = true;
    for (let request = long.shift(); request !== undefined && !stopped; request = long.shift()) {
      const { backlog, sendOrder, kind } = request;
      const startedAt = performance.now();
      let inMs = 0;
      try {
        if (backlog.sendOrder !== sendOrder) continue;
        const asked = begin(request);
        const pages = readHeld(pool, [asked]);
        currentRead = pages;
        const page = (await pages).get(backlog.id) as HeldPage;
        if (backlog.sendOrder === sendOrder) take(asked, page, performance.now() - startedAt);
        loop.succeeded();
      } catch (error) {
        // The next round reads a short page instead.
        backlog.blockedKind = null;
        inMs = loop.failed(error, { subscriptionId: backlog.id });
      } finally {
        backlog.longReadUnderWay = false;
        wake(backlog, inMs);
      }
      const tookMs = performance.now() - startedAt;
      if (kind === 'sweep') backlog.sweepAt = performance.now() + SWEEP_REST * tookMs;
      await sleep(REST * tookMs, undefined, { ref: false });
    }
    running = false;
  }

  return {
    async read(rooms, now) {
      const requests: PageRequest[] = [];
      for (const [backlog, room] of rooms) {
        // Newer deliveries take turns as probes too, although one probe at a time fills the room.
        const enough =
          backlog.sendOrder.ready(now) >= room &&
          !(backlog.allowed === 'probe' && backlog.moreAhead);
        const kind = backlog.longReadUnderWay || enough ? null : nextReadKind(backlog, now);
        if (kind === null) continue;
        const request = {
          backlog,
          sendOrder: backlog.sendOrder,
          kind,
          most: pageSizeOf(backlog, kind, room),
        };
        if (backlog.blockedKind !== kind) {
          requests.push(request);
          continue;
        }
        backlog.longReadUnderWay = true;
        long.push(request);
        if (!running) void runLong();
      }
      if (requests.length === 0) return;
      const strict = requests.filter(({ backlog }) => backlog.strict).length;
      const fair = Math.max(MIN_PAGE, Math.floor(MAX_STRICT / strict));
      const asked = requests.map((request) =>
        begin(
          request.backlog.strict ? { ...request, most: Math.min(request.most, fair) } : request,
        ),
      );
      const pages = await readHeld(pool, asked);
      const tookMs = (performance.now() - now) / asked.length;
      for (const pageRead of asked)
        take(pageRead, pages.get(pageRead.subscriptionId) as HeldPage, tookMs);
    },
    async stop() {
      stopped = true;
      await currentRead?.catch(() => {});
    },
  };
}

/**
 * Chooses what to read: first the next delivery of a key that has none queued, last a sweep. Where
 * that delivery is far away, the other kinds get every second page.
 */
function nextReadKind(backlog: Backlog, now: number): ReadKind | null {
  const { sendOrder } = backlog;
  const maySweep = sweepInMs(backlog, now) === 0;
  const short = backlog.pass.rows <= MAX_PAGE;
  const mayGoOn = backlog.moreAhead && !sendOrder.isFull(now);
  const waits =
    backlog.blockedKind === 'fill' && backlog.lastReadKind === 'fill' && (maySweep || mayGoOn);
  if (sendOrder.wantsFill && !waits) return 'fill';
  if (maySweep && short) return 'sweep';
  if (mayGoOn) return 'ahead';
  return maySweep ? 'sweep' : null;
}

function pageSizeOf({ strict, blockedKind }: Backlog, kind: ReadKind, room: number): number {
  if (blockedKind === kind) return LONG_PAGE;
  return strict ? MAX_PAGE : Math.min(MAX_PAGE, Math.max(MIN_PAGE, 2 * room));
}

function begin(request: PageRequest): PageRead {
  const { backlog, sendOrder, kind } = request;
  if (kind === 'sweep' && !sendOrder.isSweeping) {
    backlog.rereadWanted = false;
    backlog.sweep = beginPass(performance.now());
  }
  // So much was accepted in the last seconds that a long page ends before `place`.
  const exact = !backlog.strict || backlog.stuckPages >= 2;
  backlog.lastReadKind = kind;
  const { after, place } = sendOrder.beginRead(kind, exact);
  return {
    ...request,
    after,
    place,
    subscriptionId: backlog.id,
    keyed: backlog.strict,
    changeCount: backlog.changeCount,
  };
}

function take(
  { backlog, sendOrder, kind, place, most, changeCount }: PageRead,
  page: HeldPage,
  ms: number,
): void {
  const now = performance.now();
  const full = page.length === most;
  const all = sendOrder.take(page, full, now) === page.length;
  if (kind !== 'fill') {
    const pass = kind === 'sweep' ? backlog.sweep : backlog.pass;
    pass.rows += page.length;
    pass.ms += ms;
    if (kind === 'sweep' && !sendOrder.isSweeping) backlog.pass = pass;
    // A delivery may have been held since the page was read.
    if (kind === 'ahead' || !sendOrder.isSweeping)
      backlog.moreAhead = full || !all || backlog.changeCount !== changeCount;
  }
  const behind = full && all && page.webhookIdOf(page.length - 1) <= (place ?? '');
  backlog.stuckPages = behind ? backlog.stuckPages + 1 : 0;
  if (backlog.strict && full && (behind || sendOrder.ready(now) === 0)) backlog.blockedKind = kind;
  else if (backlog.blockedKind === kind) backlog.blockedKind = null;
}

/** Returns whether reading on may find more to send. */
export function canReadOn({ sendOrder, moreAhead }: Backlog, now: number): boolean {
  return sendOrder.wantsFill || (moreAhead && !sendOrder.isFull(now));
}

/**
 * Returns how long until the backlog may be read again from its beginning: no time at all if it is
 * short. A long one is swept seldom, and only after its end was reached: a sweep finds only
 * deliveries that were committed late, made owed again, or skipped for want of memory.
 */
export function sweepInMs(backlog: Backlog, now: number): number {
  const { strict, moreAhead, rereadWanted, sendOrder, pass } = backlog;
  if (sendOrder.isFull(now)) return Number.POSITIVE_INFINITY;
  if (sendOrder.isSweeping) return Math.max(0, backlog.sweepAt - now);
  const wantedInMs = rereadWanted ? 0 : Math.max(0, sendOrder.sweepAt - now);
  if (!strict || pass.rows <= MAX_PAGE) return wantedInMs;
  if (moreAhead) return Number.POSITIVE_INFINITY;
  return Math.max(wantedInMs, pass.ms / SWEEP_SHARE - (now - pass.at));
}
