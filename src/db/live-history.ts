import { createHash } from 'node:crypto';
import type pg from 'pg';

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

/** If there are more ranges than this, the oldest become one. */
const MAX_RANGES = 12;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Returns where unfinished deliveries may be, or attempts and deliveries that ended at or after a time. Quiet partitions
 * (posthorn.quiet_history) have none. What wakes a partition is seen as soon as it is committed.
 *
 * @param since the time; undefined: only unfinished deliveries are looked for.
 */
export async function readLiveHistory(
  pool: Pick<pg.Pool | pg.ClientBase, 'query'>,
  since?: Date,
): Promise<LiveHistory> {
  const { rows } = await (pool as pg.Pool).query<IdRange>({
    name: 'live-history',
    text: 'select from_id as from, below_id as below from posthorn.live_history($1)',
    values: [since ?? null],
  });
  return historyIn(rows);
}

const recalled = new WeakMap<object, { readonly at: number; readonly live: LiveHistory }>();
/** Less than the time from the recording of a retry that needs to be woken (NEAR_MS) until its next chance. */
const RECALLED_MS = 40_000;

/**
 * Returns where unfinished deliveries may be, as it was read from this pool within the last 40 seconds. It is for what
 * looks around on a clock and nearly always finds nothing, so that an idle process does not ask each time; what was
 * woken meanwhile is found by the next look.
 */
export async function recallLiveHistory(pool: pg.Pool): Promise<LiveHistory> {
  const at = performance.now();
  const known = recalled.get(pool);
  if (known !== undefined && at - known.at < RECALLED_MS) return known.live;
  const live = await readLiveHistory(pool);
  recalled.set(pool, { at, live });
  return live;
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
  return { where, key: createHash('sha256').update(where('id')).digest('hex').slice(0, 6) };
}
