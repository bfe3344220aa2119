import type pg from 'pg';
import {
  historyIn,
  type IdRange,
  type LiveHistory,
  readEndOfHistory,
  readLiveHistory,
} from '../db/live-history.ts';
import { floorOf } from '../db/uuidv7.ts';
import type { Found } from './scan.ts';

/** A time of history that one statement reads, of at most so many partitions. */
export interface Window {
  /** Where it begins; null: where history begins. */
  readonly fromAt: Date | null;
  /** Its webhooks. */
  readonly ids: LiveHistory;
  /** The webhooks that have attempts of this time: older ones may, if they were retried. */
  ofAttempts(): Promise<LiveHistory>;
  /** The name of a prepared statement for it. Windows of the past are many, so their statements have none. */
  named(name: string): string | undefined;
}

/** A window has at most so many quiet partitions: Postgres plans a list of them in 3 ms. */
const MAX_PARTITIONS = 16;
/** While a page has room and this time is not over, older windows are read for it. */
const MAX_MS = 150;
const MINUTE_MS = 60_000;

/**
 * Reads a page of a list, the newest first, window by window: first the latest partitions, and then older ones, twice
 * as many each time. So Postgres plans for few partitions, however many there are. If the time is over, the page is
 * short, and the next one begins where this one stopped.
 *
 * @param start all rows of the page happened before this time; undefined: any time.
 * @param since rows before this time are not wanted.
 * @param after the position at which the page before ended.
 * @param read reads one window from a position on.
 * @param positionAt the position before all rows of a time on.
 */
export async function readByWindows<Row>(
  pool: pg.Pool,
  {
    start,
    since,
    limit,
    after,
    read,
    positionAt,
  }: {
    readonly start: Date | undefined;
    readonly since: Date | undefined;
    readonly limit: number;
    readonly after: readonly string[] | undefined;
    readonly read: (
      window: Window,
      limit: number,
      after: readonly string[] | undefined,
    ) => Promise<Found<Row>>;
    readonly positionAt: (time: Date) => readonly string[];
  },
): Promise<Found<Row>> {
  const startedAt = performance.now();
  const rows: Row[] = [];
  let position = after;
  let below = start;
  for (let partitions = 1; ; partitions = Math.min(partitions * 2, MAX_PARTITIONS)) {
    const window = await findWindow(pool, below, partitions);
    const isFull = rows.length >= limit;
    // If the page is full, one more row is read, only to know whether there is a next page.
    const found: Found<Row> = await read(window, isFull ? 1 : limit - rows.length, position);
    if (isFull && found.rows.length > 0) return { rows, next: position ?? null };
    rows.push(...found.rows);
    if (found.next !== null) return { rows, next: found.next };
    if (window.fromAt === null || (since !== undefined && window.fromAt <= since))
      return { rows, next: null };
    below = window.fromAt;
    position = positionAt(below);
    if (performance.now() - startedAt > MAX_MS) return { rows, next: position };
  }
}

async function findWindow(
  pool: pg.Pool,
  below: Date | undefined,
  partitions: number,
): Promise<Window> {
  const { rows } = await pool.query<{ from_at: Date | null; is_newest: boolean }>({
    name: 'history-window',
    text: `
      with older as materialized (
        select q.from_at from posthorn.quiet_history q
        where q.from_at < coalesce($1::timestamptz, 'infinity')
        order by q.from_at desc
        limit $2::integer + 1
      )
      -- With fewer, it reaches to the beginning.
      select case when count(*) > $2 then (array_agg(from_at order by from_at desc))[$2] end as from_at,
        coalesce($1 >= (select until_at from posthorn.quiet_history order by from_at desc limit 1), true) as is_newest
      from older`,
    values: [below ?? null, partitions],
  });
  const { from_at: fromAt, is_newest: isNewest } = rows[0] as (typeof rows)[0];
  const range: IdRange = {
    from: fromAt === null ? null : floorOf(fromAt),
    below: isNewest || below === undefined ? await readEndOfHistory(pool) : floorOf(below),
  };
  const ids = historyIn([range]);
  let live: LiveHistory | undefined;
  return {
    fromAt,
    ids,
    async ofAttempts() {
      live ??= await readLiveHistory(pool, fromAt ?? new Date(0));
      if (isNewest || below === undefined) return live;
      // No attempt is older than its webhook. The minute allows for a different clock after a failover.
      const { where } = historyIn([
        { from: null, below: floorOf(new Date(below.getTime() + MINUTE_MS)) },
      ]);
      const { where: whereLive } = live;
      return { ...live, where: (column) => `(${where(column)} and ${whereLive(column)})` };
    },
    named: (name) => (isNewest ? `${name} ${ids.key}` : undefined),
  };
}
