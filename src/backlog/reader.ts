import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Loop } from '../lib/loop-health.ts';
import { beginPass, type Owned } from './backlog.ts';
import { type HeldAsked, readHeld } from './read-held.sql.ts';
import type { HeldPage, Line, ReadKind } from './send-order.ts';

/** What a round reads of a backlog: ids, without bodies. */
const MAX_PAGE = 1_000;
const MIN_PAGE = 100;
/** And of all backlogs that keep an order, together. */
const MAX_STRICT = 20_000;
/** What is read beside the rounds, where nothing of the last page may be sent. */
const LONG_PAGE = 20_000;
/** Until the next of these: as long as it took; and of a sweep, for which nobody waits, several times that. */
const REST = 1;
const SWEEP_REST = 4;
/** Reading a long backlog again from its beginning takes that share of the time at most. */
const SWEEP_SHARE = 0.05;

/** What is to be read next of a backlog. */
interface Ask {
  readonly one: Owned;
  readonly line: Line;
  readonly kind: ReadKind;
  readonly most: number;
}

/** What is being read. */
interface Asked extends Ask, HeldAsked {
  readonly place: string | null;
  /** Of the news that there were when it began. */
  readonly news: number;
}

export interface Reader {
  /** Reads on in each of these backlogs whose line does not fill the room that it has. */
  read(rooms: ReadonlyMap<Owned, number>, now: number): Promise<void>;
  /** Begins nothing more, and waits for what is under way. */
  stop(): Promise<void>;
}

/**
 * Reads backlogs into their lines, page by page. Rounds wait for short pages. Where a key that is
 * blocked stands before hundreds of thousands, long ones are read beside the rounds, one at a time:
 * so no backlog waits for the length of another.
 *
 * @param wake called when a backlog may have something to send.
 * @param loop told of long pages; who asks for short ones is told by their errors.
 */
export function createReader(
  pool: pg.Pool,
  wake: (one: Owned, inMs: number) => void,
  loop: Loop,
): Reader {
  const long: Ask[] = [];
  let running = false;
  let reading: Promise<unknown> | undefined;
  let stopped = false;

  async function runLong(): Promise<void> {
    running = true;
    for (let ask = long.shift(); ask !== undefined && !stopped; ask = long.shift()) {
      const { one, line, kind } = ask;
      const startedAt = performance.now();
      let inMs = 0;
      try {
        if (one.line !== line) continue;
        const asked = begin(ask);
        const pages = readHeld(pool, [asked]);
        reading = pages;
        const page = (await pages).get(one.id) as HeldPage;
        if (one.line === line) take(asked, page, performance.now() - startedAt);
        loop.succeeded();
      } catch (error) {
        // A round reads a short page of it then.
        one.barren = null;
        inMs = loop.failed(error, { subscriptionId: one.id });
      } finally {
        one.reading = false;
        wake(one, inMs);
      }
      const tookMs = performance.now() - startedAt;
      if (kind === 'sweep') one.sweepAt = performance.now() + SWEEP_REST * tookMs;
      await sleep(REST * tookMs, undefined, { ref: false });
    }
    running = false;
  }

  return {
    async read(rooms, now) {
      const asks: Ask[] = [];
      for (const [one, room] of rooms) {
        // Probes take turns with what has come since, though one at a time leaves room for none.
        const enough = one.line.ready(now) >= room && !(one.what === 'probe' && one.more);
        const kind = one.reading || enough ? null : kindOf(one, now);
        if (kind === null) continue;
        const ask = { one, line: one.line, kind, most: sizeOf(one, kind, room) };
        if (one.barren !== kind) {
          asks.push(ask);
          continue;
        }
        one.reading = true;
        long.push(ask);
        if (!running) void runLong();
      }
      if (asks.length === 0) return;
      const strict = asks.filter(({ one }) => one.strict).length;
      const fair = Math.max(MIN_PAGE, Math.floor(MAX_STRICT / strict));
      const asked = asks.map((ask) =>
        begin(ask.one.strict ? { ...ask, most: Math.min(ask.most, fair) } : ask),
      );
      const pages = await readHeld(pool, asked);
      const tookMs = (performance.now() - now) / asked.length;
      for (const one of asked) take(one, pages.get(one.subscriptionId) as HeldPage, tookMs);
    },
    async stop() {
      stopped = true;
      await reading?.catch(() => {});
    },
  };
}

/**
 * What is to be read: first what lets a key go on, last what may have come late, long ago. Where a key
 * has far to go to its next one, the others have every second page.
 */
function kindOf(one: Owned, now: number): ReadKind | null {
  const { line } = one;
  const maySweep = sweepInMs(one, now) === 0;
  const short = one.pass.rows <= MAX_PAGE;
  const mayGoOn = one.more && !line.isFull(now);
  const waits = one.barren === 'fill' && one.lastRead === 'fill' && (maySweep || mayGoOn);
  if (line.wantsFill && !waits) return 'fill';
  if (maySweep && short) return 'sweep';
  if (mayGoOn) return 'ahead';
  return maySweep ? 'sweep' : null;
}

function sizeOf({ strict, barren }: Owned, kind: ReadKind, room: number): number {
  if (barren === kind) return LONG_PAGE;
  return strict ? MAX_PAGE : Math.min(MAX_PAGE, Math.max(MIN_PAGE, 2 * room));
}

function begin(ask: Ask): Asked {
  const { one, line, kind } = ask;
  if (kind === 'sweep' && !line.isSweeping) {
    one.again = false;
    one.sweep = beginPass(performance.now());
  }
  // Where so much was accepted in the last seconds that a long page ends before its place.
  const exact = !one.strict || one.stuck >= 2;
  one.lastRead = kind;
  const { after, place } = line.beginRead(kind, exact);
  return { ...ask, after, place, subscriptionId: one.id, keyed: one.strict, news: one.news };
}

function take({ one, line, kind, place, most, news }: Asked, page: HeldPage, ms: number): void {
  const now = performance.now();
  const full = page.length === most;
  const all = line.take(page, full, now) === page.length;
  if (kind !== 'fill') {
    const pass = kind === 'sweep' ? one.sweep : one.pass;
    pass.rows += page.length;
    pass.ms += ms;
    if (kind === 'sweep' && !line.isSweeping) one.pass = pass;
    // Something may have come since the page was read.
    if (kind === 'ahead' || !line.isSweeping) one.more = full || !all || one.news !== news;
  }
  const behind = full && all && page.webhookIdOf(page.length - 1) <= (place ?? '');
  one.stuck = behind ? one.stuck + 1 : 0;
  if (one.strict && full && (behind || line.ready(now) === 0)) one.barren = kind;
  else if (one.barren === kind) one.barren = null;
}

/** Whether more of it can be read, so that there may be more to send. */
export function canReadOn({ line, more }: Owned, now: number): boolean {
  return line.wantsFill || (more && !line.isFull(now));
}

/**
 * When it may be read again from the beginning, if that is wanted: at once if that is little.
 * Otherwise seldom, and not before its end was reached: what is found then was committed long after
 * ids that are greater, or owed anew, or passed for want of memory.
 */
export function sweepInMs(one: Owned, now: number): number {
  const { strict, more, again, line, pass } = one;
  if (line.isFull(now)) return Number.POSITIVE_INFINITY;
  if (line.isSweeping) return Math.max(0, one.sweepAt - now);
  const wantedInMs = again ? 0 : Math.max(0, line.sweepAt - now);
  if (!strict || pass.rows <= MAX_PAGE) return wantedInMs;
  if (more) return Number.POSITIVE_INFINITY;
  return Math.max(wantedInMs, pass.ms / SWEEP_SHARE - (now - pass.at));
}
