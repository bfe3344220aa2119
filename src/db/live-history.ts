import { createHash } from 'node:crypto';
import type pg from 'pg';
import { floorOf } from './uuidv7.ts';

/**
 * The partitions of history in which something may be found, as ranges of ids. Postgres plans and locks every
 * partition that a statement does not exclude, even if it has nothing to read there: *measured* with a thousand
 * partitions, 155 ms to plan a list, and 100 to 300 ms to begin a planned one. So statements name these ranges as
 * constants.
 */
export interface LiveHistory {
  /** SQL condition: a column with the id of a webhook is in these ranges. */
  where(column: string): string;
  /** For the name of a prepared statement with the condition: it changes with the ranges. */
  readonly key: string;
}

/** The ids of one range; null: all to that side. */
export interface IdRange {
  readonly from: string | null;
  readonly below: string | null;
}

const DAY_MS = 86_400_000;
/** If there are more ranges than this, the oldest become one. */
const MAX_RANGES = 12;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Returns where unfinished deliveries may be, or attempts and deliveries that ended at or after a time. Quiet partitions
 * (posthorn.quiet_history) have none. What wakes a partition is seen as soon as it is committed.
 *
 * With a thousand quiet days Postgres takes 1.2 ms of CPU to say where unfinished deliveries may be, which each round of a
 * backlog and each list asks for. So that is asked for once a minute, and in between only which quiet days were woken, or
 * have something of that time.
 *
 * @param since the time; undefined: only unfinished deliveries are looked for.
 */
export async function readLiveHistory(pool: Queryable, since?: Date): Promise<LiveHistory> {
  const { ranges, live } = await recallRanges(pool, RANGES_MS);
  const { rows: others } = await (pool as pg.Pool).query<IdRange>({
    name: 'other-live-days',
    text: `
      with others as (
        select from_at from posthorn.woken_history
        union
        select from_at from posthorn.quiet_history where last_ended_at >= $1
      )
      select posthorn.uuidv7_floor(q.from_at) as from, posthorn.uuidv7_floor(q.until_at) as below
      from others o
      join posthorn.quiet_history q on q.from_at = o.from_at`,
    values: [since ?? null],
  });
  return others.length === 0 ? live : historyIn(mergeRanges([...ranges, ...others]));
}

/**
 * Returns where unfinished deliveries may be, as it was read from this pool within the last 40 seconds. It is for what
 * looks around on a clock and nearly always finds nothing, so that an idle process does not ask each time; what was
 * woken meanwhile is found by the next look.
 */
export async function recallLiveHistory(pool: Queryable): Promise<LiveHistory> {
  return (await recallRanges(pool, RECALLED_MS)).live;
}

/**
 * Returns the id below which all history is, or null: partitions are made far ahead, and the empty ones are left out. Most
 * of the time it is that of the end of tomorrow.
 */
export async function readEndOfHistory(pool: Queryable): Promise<string | null> {
  const { ranges } = await recallRanges(pool, RANGES_MS);
  return ranges.at(-1)?.below ?? null;
}

type Queryable = Pick<pg.Pool | pg.ClientBase, 'query'>;

/** A day that was dropped from the quiet ones for another reason than being woken, by retention, is late by this. */
const RANGES_MS = 60_000;
/** Less than the time from the recording of a retry that needs to be woken (NEAR_MS) until its next chance. */
const RECALLED_MS = 40_000;

interface Recalled {
  readonly at: number;
  readonly ranges: readonly IdRange[];
  readonly live: LiveHistory;
}

/** What was read last, by the pool or the connection. */
const recalled = new WeakMap<object, Recalled>();

async function recallRanges(pool: Queryable, maxAgeMs: number): Promise<Recalled> {
  const at = performance.now();
  const known = recalled.get(pool);
  if (known !== undefined && at - known.at < maxAgeMs) return known;
  const ranges = await readRanges(pool);
  const fresh = { at, ranges, live: historyIn(ranges) };
  recalled.set(pool, fresh);
  return fresh;
}

/**
 * The partitions behind tomorrow are left out, unless a wrong clock has dated a webhook there. *Measured* with figures of an
 * hour: 6 to 13 ms of planning and 200 locks with them, 2 to 3 ms and 90 without.
 */
async function readRanges(pool: Queryable): Promise<IdRange[]> {
  const today = Math.floor(Date.now() / DAY_MS);
  const end = floorOf(new Date((today + 2) * DAY_MS));
  const { rows } = await (pool as pg.Pool).query<IdRange>({
    name: `live-history ${today}`,
    text: `
      select from_id as from,
        case when below_id is not null or exists (select from posthorn.webhook_payloads where id >= '${end}'::uuid)
          then below_id else '${end}'::uuid end as below
      from posthorn.live_history(null)`,
  });
  return rows;
}

/** Returns the union of ranges, the oldest first. */
export function mergeRanges(ranges: readonly IdRange[]): IdRange[] {
  const merged: IdRange[] = [];
  for (const range of ranges.toSorted((a, b) => ((a.from ?? '') < (b.from ?? '') ? -1 : 1))) {
    const last = merged.at(-1);
    if (last === undefined || (last.below !== null && last.below < (range.from ?? '')))
      merged.push(range);
    else if (last.below !== null && (range.below === null || range.below > last.below))
      merged[merged.length - 1] = { from: last.from, below: range.below };
  }
  return merged;
}

/**
 * Writes ranges of ids, the oldest first, as SQL.
 *
 * @param maxRanges if there are more, the oldest become one.
 * @throws TypeError when an end is not a uuid.
 */
export function historyIn(ranges: readonly IdRange[], maxRanges = MAX_RANGES): LiveHistory {
  for (const id of ranges.flatMap(({ from, below }) => [from, below]))
    if (id !== null && !UUID.test(id)) throw new TypeError(`${JSON.stringify(id)} is not a uuid`);
  const extra = ranges.length - maxRanges;
  const few =
    extra <= 0
      ? ranges
      : [
          { from: ranges[0]?.from ?? null, below: ranges[extra]?.below ?? null },
          ...ranges.slice(extra + 1),
        ];
  const where = (column: string) =>
    few.some(({ from, below }) => from === null && below === null)
      ? 'true'
      : `(${few
          .map(({ from, below }) =>
            [
              ...(from === null ? [] : [`${column} >= '${from}'::uuid`]),
              ...(below === null ? [] : [`${column} < '${below}'::uuid`]),
            ].join(' and '),
          )
          .join(' or ')})`;
  return {
    where,
    get key() {
      return createHash('sha256').update(where('id')).digest('hex').slice(0, 6);
    },
  };
}
