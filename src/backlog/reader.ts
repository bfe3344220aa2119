import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Loop } from '../lib/loop-health.ts';
import { readHeld } from './read-held.sql.ts';
import { beginPage, nextPage, type PageRequest, type Reading, takePage } from './reading.ts';
import type { HeldPage } from './send-order.ts';

/** Rows that a round reads of all strictly ordered backlogs together. */
const MAX_STRICT = 20_000;
const MIN_STRICT = 100;
/** Pause after a long page, as a multiple of its duration; longer in a sweep, which is not urgent. */
const REST = 1;
const SWEEP_REST = 4;

/** A backlog that is read. */
export interface Readable {
  readonly id: number;
  readonly reading: Reading | null;
}

export interface ReaderOptions<B extends Readable> {
  readonly pool: pg.Pool;
  /** Called when a long page was taken. */
  readonly onPage: (backlog: B) => void;
  /** Called when a long page could not be read, with a pause until the backlog may be read again. */
  readonly onFailure: (backlog: B, pauseMs: number) => void;
  /** Told how long pages go; errors of short pages reject `read`. */
  readonly loop: Loop;
}

export interface Reader<B extends Readable> {
  /** Reads on in each of these backlogs that has fewer deliveries ready than room to send. */
  read(rooms: ReadonlyMap<B, number>, now: number): Promise<void>;
  /** Begins no more reads, and waits for the read under way. */
  stop(): Promise<void>;
}

/** A page that is wanted of a backlog. */
interface Wanted<B> {
  readonly backlog: B;
  readonly reading: Reading;
  readonly request: PageRequest;
}

/**
 * Reads backlogs page by page into their send orders. Rounds wait for short pages. Where hundreds of
 * thousands of deliveries wait behind a blocked key, long pages are read outside of the rounds, one at
 * a time, so that no backlog waits for the length of another.
 */
export function createReader<B extends Readable>(options: ReaderOptions<B>): Reader<B> {
  const { pool, onPage, onFailure, loop } = options;
  const long: Wanted<B>[] = [];
  let running = false;
  let currentRead: Promise<unknown> | undefined;
  let stopped = false;

  function begin({ backlog, reading, request }: Wanted<B>) {
    const read = beginPage(reading, request);
    return { subscriptionId: backlog.id, keyed: reading.strict, reading, read, ...read };
  }

  async function runLong(): Promise<void> {
    running = true;
    for (let wanted = long.shift(); wanted !== undefined && !stopped; wanted = long.shift()) {
      // Its order has changed, or its circuit has opened.
      if (wanted.backlog.reading === wanted.reading) await readLong(wanted);
    }
    running = false;
  }

  async function readLong(wanted: Wanted<B>): Promise<void> {
    const { backlog, reading, request } = wanted;
    const startedAt = performance.now();
    try {
      const asked = begin(wanted);
      const pages = readHeld(pool, [asked]);
      currentRead = pages;
      const page = (await pages).get(backlog.id) as HeldPage;
      takePage(reading, asked.read, page, performance.now() - startedAt);
      loop.succeeded();
      onPage(backlog);
    } catch (error) {
      // The next round reads a short page instead.
      reading.long = null;
      onFailure(backlog, loop.failed(error, { subscriptionId: backlog.id }));
    }
    const tookMs = performance.now() - startedAt;
    if (request.kind === 'sweep') reading.nextSweepPageAt = performance.now() + SWEEP_REST * tookMs;
    await sleep(REST * tookMs, undefined, { ref: false });
  }

  return {
    async read(rooms, now) {
      const short: Wanted<B>[] = [];
      for (const [backlog, room] of rooms) {
        const { reading } = backlog;
        if (reading === null || reading.long?.underWay || reading.sendOrder.ready(now) >= room)
          continue;
        const request = nextPage(reading, room, now);
        if (request === null) continue;
        const wanted = { backlog, reading, request };
        if (reading.long?.kind !== request.kind) {
          short.push(wanted);
          continue;
        }
        reading.long = { kind: request.kind, underWay: true };
        long.push(wanted);
        if (!running) void runLong();
      }
      if (short.length === 0) return;
      const strict = short.filter(({ reading }) => reading.strict).length;
      const fair = Math.max(MIN_STRICT, Math.floor(MAX_STRICT / strict));
      const asked = short.map(({ request, ...wanted }) => {
        const most = wanted.reading.strict ? Math.min(request.most, fair) : request.most;
        return begin({ ...wanted, request: { ...request, most } });
      });
      const pages = await readHeld(pool, asked);
      const tookMs = (performance.now() - now) / asked.length;
      for (const { subscriptionId, reading, read } of asked)
        takePage(reading, read, pages.get(subscriptionId) as HeldPage, tookMs);
    },
    async stop() {
      stopped = true;
      await currentRead?.catch(() => {});
    },
  };
}
