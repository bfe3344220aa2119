import type pg from 'pg';
import {
  markCommits,
  readChanges,
  readWatermark,
  type Watermark,
} from '../../history/changes.sql.ts';
import { covers, type Position, positionBefore } from '../../history/position.ts';
import type { Loop } from '../../lib/loop-health.ts';
import { createTurns } from '../../lib/turns.ts';
import { type EventFilter, eventsOf, type StreamEvent } from './events.ts';
import type { Batch, Listener, SharedReader } from './listener.ts';

/** While other transactions write, events come after one or two of these. */
const EVERY_MS = 500;
/** Rows of each kind that are read at once, for all listeners and for one that is behind. */
const ROWS = 2_000;
const ROWS_ALONE = 500;

/** Reads events for all clients of this process that follow them. Without clients it does nothing. */
export interface EventReader extends SharedReader {
  /**
   * Begins to read for a client, and returns where it is: events after that will come.
   *
   * @param check called before each read; also names the client.
   */
  acquire(check: () => void): Promise<Position>;
  /** Stops reading for a client. */
  release(check: () => void): void;
  /** The number of clients. */
  readonly clients: number;
  /** Tells the loop about a failure of a listener's own reads; returns the pause before the next try. */
  failed(error: unknown): number;
}

interface EventReaderOptions {
  /** Two connections: one for all listeners, and one for listeners that are behind. They are opened when needed. */
  readonly pool: pg.Pool;
  readonly loop: Loop;
}

/**
 * Creates the reader that the event streams of a process share.
 *
 * It reads each row once for all listeners, up to the watermark, below which no transaction can add a row. So no event
 * is missed because its transaction commits later than others that began after it.
 */
export function createEventReader({ pool, loop }: EventReaderOptions): EventReader {
  const joined = new Set<Listener>();
  const turns = createTurns({ max: 1 });
  const clients = new Set<() => void>();
  let waiting: (() => void)[] = [];
  let position: Position | undefined;
  let starting: Promise<Position> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let isReading = false;
  /** The snapshot of the last read, and whether the one before had the same. */
  let seen: string | undefined;
  let isSettled = false;

  async function start(): Promise<Position> {
    const { committedBeforeMs } = await readWatermark(pool);
    const first = positionBefore(committedBeforeMs * 1000);
    position = first;
    seen = undefined;
    isSettled = false;
    readLater(EVERY_MS);
    return first;
  }

  function stop(): void {
    clearTimeout(timer);
    position = undefined;
    goOn();
  }

  function goOn(): void {
    const callbacks = waiting;
    waiting = [];
    for (const go of callbacks) go();
  }

  function readLater(delayMs: number): void {
    timer = setTimeout(() => void readAndPlan(), delayMs).unref();
  }

  async function readAndPlan(): Promise<void> {
    let delayMs = EVERY_MS;
    isReading = true;
    try {
      for (const check of clients) check();
      await readOn();
      loop.succeeded();
    } catch (error) {
      delayMs = loop.failed(error);
    }
    isReading = false;
    if (clients.size > 0) readLater(delayMs);
    else stop();
  }

  async function readOn(): Promise<void> {
    const watermark = await readWatermark(pool);
    const isChanged = watermark.snapshot !== seen;
    // The watermark is from a moment before the snapshot. So what a new snapshot sees is all read by the next one.
    await readUntil(watermark, isSettled && !isChanged);
    if (isChanged) await markCommits(pool);
    isSettled = !isChanged;
    seen = watermark.snapshot;
    goOn();
  }

  async function readUntil({ committedBeforeMs }: Watermark, isUnchanged: boolean): Promise<void> {
    const end = positionBefore(committedBeforeMs * 1000);
    for (let complete = false; !complete && clients.size > 0; ) {
      const from = position as Position;
      if (!covers(end, from)) return;
      const changes = isUnchanged
        ? undefined
        : await readChanges(pool, { ...wantedBy(joined), rows: ROWS }, from, end);
      const batch: Batch = {
        events: changes === undefined ? [] : eventsOf(changes, from),
        position: changes?.position ?? end,
      };
      complete = changes?.complete ?? true;
      // Nothing is awaited between these lines: who joins before gets the batch, who joins afterwards is behind it.
      position = batch.position;
      for (const listener of joined) listener.push(batch);
      if (!complete) letBusyTenantsGo(batch.events);
    }
  }

  /** While the reader is behind, listeners of a tenant with most of the events go on by themselves. */
  function letBusyTenantsGo(events: readonly StreamEvent[]): void {
    const byTenant = Map.groupBy(joined, ({ filter }) => filter.tenant);
    if (byTenant.size < 2) return;
    for (const [tenant, listeners] of byTenant) {
      const own = events.filter((event) => event.tenant === tenant).length;
      if (own > events.length / 2) for (const listener of listeners) listener.overtake();
    }
  }

  return {
    get position() {
      return position as Position;
    },
    get clients() {
      return clients.size;
    },
    async acquire(check) {
      clients.add(check);
      try {
        if (position !== undefined) return position;
        starting ??= start().finally(() => {
          starting = undefined;
        });
        return await starting;
      } catch (error) {
        clients.delete(check);
        throw error;
      }
    },
    release(check) {
      clients.delete(check);
      if (clients.size === 0 && !isReading) stop();
    },
    join: (listener) => void joined.add(listener),
    leave: (listener) => void joined.delete(listener),
    nextRead: () => new Promise((resolve) => void waiting.push(resolve)),
    async readAlone(filter, from) {
      const to = position as Position;
      const endTurn = await turns.takeNext(filter.tenant);
      try {
        const wanted = { ...wantedBy([{ filter }]), rows: ROWS_ALONE };
        const changes = await readChanges(pool, wanted, from, to);
        return { events: eventsOf(changes, from), position: changes.position };
      } finally {
        endTurn();
      }
    },
    failed: (error) => loop.failed(error),
  };
}

function wantedBy(listeners: Iterable<{ readonly filter: EventFilter }>): {
  tenants: string[];
  subscriptionIds: number[];
} {
  const tenants = new Set<string>();
  const subscriptionIds = new Set<number>();
  for (const { filter } of listeners) {
    tenants.add(filter.tenant);
    if (filter.subscriptionId !== undefined) subscriptionIds.add(filter.subscriptionId);
  }
  return { tenants: [...tenants], subscriptionIds: [...subscriptionIds] };
}
