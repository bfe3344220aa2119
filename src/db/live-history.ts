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
    text: `
      select posthorn.uuidv7_floor(lower(live)) as from, posthorn.uuidv7_floor(upper(live)) as below
      from unnest('{(,)}'::tstzmultirange - coalesce((
        select range_agg(tstzrange(q.from_at, q.until_at))
        from posthorn.quiet_history q
        where coalesce(q.last_ended_at < $1::timestamptz, true)
          and not exists (select from posthorn.woken_history w where w.from_at = q.from_at)), '{}')) as live
      order by live`,
    values: [since ?? null],
  });
  return historyIn(rows);
}

/**
 * Writes ranges of ids, the oldest first, as SQL.
 *
 * @throws TypeError when an end is not a uuid.
 */
export function historyIn(ranges: readonly IdRange[]): LiveHistory {
  for (const id of ranges.flatMap(({ from, below }) => [from, below]))
    if (id !== null && !UUID.test(id)) throw new TypeError(`${JSON.stringify(id)} is not a uuid`);
  const extra = ranges.length - MAX_RANGES;
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
