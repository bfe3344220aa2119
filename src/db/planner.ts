/**
 * Gives statements the plan that they need: by index, over the partitions that matter, whatever the
 * statistics say. `test/db/plans.test.ts` looks at the plan of every hot statement.
 *
 * Two more tricks are plain SQL, and stand where they are used:
 * - `with x as materialized (…)`, `offset 0` in a subquery: it runs once, by itself, and its conditions and
 *   those around it are not mixed. For a lock that must be taken first, an expression that is costly, or a
 *   list whose length the planner must not guess.
 * - `(select …)` as a value in a condition: it is computed once, before the scan, so that it can bound the
 *   range of an index, and leave out partitions.
 */
import type pg from 'pg';
import { plainArray } from './arrays.ts';
import type { DeliveryState } from './types.ts';

/** Planner settings of Postgres, for a connection or a transaction. */
export type Plans = Readonly<Record<string, 'on' | 'off' | '0' | 'force_generic_plan'>>;

/**
 * For few statements that each have one right plan, by index, at any table size. Without this, a
 * plan made for a small table (a sequential scan) may be kept while the table grows; and planning over
 * dozens of partitions costs more than running the statement.
 *
 * Without parallel workers: a plan for any values expects many rows, and each worker begins by reading the bounds of all
 * partitions. *Measured* for the figures of a day, with 13 and 1,010 partitions on a busy machine: 81 and 121 ms with
 * workers, 57 and 51 without.
 */
const FIXED = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
} as const;

/**
 * For lists, and for the queue, which is read as a list: rows are read in the order of an index and joined
 * by lookups, so that reading stops at the end of the page. Other plans would read all matching rows first.
 */
const AS_LIST = {
  ...FIXED,
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
} as const;

/**
 * For look-ups of what is held for a subscription. While little is held, the indexes `deliveries_held` and
 * `deliveries_owed` seem equal to the planner; in a kept plan, the second one would be read in full for each
 * subscription. Only the first one has the order of webhooks, so statements ask for it, and sorting is off.
 * *Measured* on 200,000 held deliveries, for 60 subscriptions: 9,400 blocks without this.
 */
const BY_SUBSCRIPTION = { ...FIXED, enable_sort: 'off' } as const;

/** The planner settings of the pools that have some, by what the pool is for. */
export const POOL_PLANS = {
  /**
   * Loading, recording and holding find deliveries by lists of their keys and then join other tables. A
   * nested loop would look the rows up one by one, and prune partitions for each.
   */
  delivery: { ...FIXED, enable_nestloop: 'off' },
  largeBodies: FIXED,
  backlog: BY_SUBSCRIPTION,
  /**
   * The table of jobs is small and soon full of dead rows: until it is vacuumed, a sequential or bitmap
   * scan reads them all at each fetch, while an index scan marks them and skips them afterwards.
   * *Measured* under full load: fetching jobs costs Postgres 6 µs per webhook instead of 22.
   */
  queue: AS_LIST,
  lists: AS_LIST,
  /** Intake looks rows up by key: a subscription, the subscriptions of a type, an idempotency key. */
  intake: { ...FIXED, enable_hashjoin: 'off', enable_mergejoin: 'off' },
} as const satisfies Record<string, Plans>;

const WAYS = ['seqscan', 'hashjoin', 'nestloop', 'mergejoin', 'bitmapscan'] as const;

/** All other ways to scan and to join are off, and so is just-in-time compilation. */
const only = (way: (typeof WAYS)[number]): Plans => ({
  ...Object.fromEntries(WAYS.map((other) => [`enable_${other}`, other === way ? 'on' : 'off'])),
  jit: 'off',
});

/** The planner settings of the two steps of a bulk operation's batch. */
export const BATCH_PLANS = {
  /**
   * Nested loops, as in lists of history: rows by an index, and related rows by index for each. Without a sort,
   * the rows come in the order of the index, so a batch stops reading when it is full. *Measured*: with a sort,
   * each batch of a subscription read all its deliveries, and all batches took twice as long for 150,000.
   */
  choosing: { ...only('nestloop'), enable_sort: 'off' },
  /**
   * Hash joins of rows found by their ids: the planner expects few rows of a list of ids, and would scan
   * the list for each row.
   */
  changing: { ...only('hashjoin'), enable_sort: 'on' },
} as const;

/** Applies planner settings until the transaction ends, or others are applied. */
export async function planWith(client: Pick<pg.ClientBase, 'query'>, plans: Plans): Promise<void> {
  await client.query(
    'select set_config(name, value, true) from unnest($1::text[], $2::text[]) as s (name, value)',
    [Object.keys(plans), Object.values(plans)],
  );
}

/**
 * SQL condition: a delivery that is found by its key is in one of these states.
 *
 * It compares text, so that it does not match the condition of the indexes of owed deliveries. While
 * little is owed, reading such an index in full is cheapest; that plan would be kept, and read a
 * backlog of a million for each hundred deliveries.
 *
 * @param delivery the name or alias of the table.
 */
export function isIn(delivery: string, ...states: readonly DeliveryState[]): string {
  return `${delivery}.state::text in (${states.map((state) => `'${state}'`).join(', ')})`;
}

/**
 * SQL for an integer column that no index condition can use. Of a list of ids and a list of numbers, Postgres
 * before 17 would look up every pair.
 */
export function outsideIndex(column: string): string {
  return `${column} + 0`;
}

/**
 * SQL condition: a column is one of a list of ids. The least and the greatest id let Postgres leave out the
 * partitions of other days before the scan starts; a list alone does not, in a plan that is kept.
 *
 * @param column of UUIDs, by which the table is partitioned.
 * @param list the number of the parameter with the ids; the next two numbers are their bounds, unless
 *   `least` says where these are. `idsWithBounds` gives the values.
 */
export function isOneOf(column: string, list: number, least = list + 1): string {
  return `${column} = any($${list}::uuid[]) and ${column} between $${least} and $${least + 1}`;
}

/**
 * SQL condition: a column of keys is one of those of a query, such as a CTE. It is for a join that finds rows
 * by their keys: the planner expects ten ids of an array, however many it expects of the query, and so looks
 * the rows up by index. Otherwise it would read the table in full to join it.
 *
 * The statement must join by hashes (`BATCH_PLANS.changing`, `POOL_PLANS.delivery`). A nested loop goes through the whole
 * list for each row: *measured* for 5,000 keys, 2 to 6 s instead of 0.05 s.
 */
export function isAmong(column: string, query: string): string {
  return `${column} = any(array(${query}))`;
}

/**
 * SQL condition: a column is equal to a value, which the planner does not see. With an order that begins with the column,
 * only an index that begins with it fits. With an equality, the planner may take another index for as good: it does not
 * know that all rows of one day may be of one subscription, and then reads them for each of the others. *Measured*:
 * with 200,000 failed deliveries of one of 50 subscriptions, problems took 1.2 s.
 */
export function isAtStart(column: string, value: string): string {
  return `${column} between ${value} and ${value}`;
}

/** Returns ids as a Postgres array, and the least and the greatest of them, for `isOneOf`. */
export function idsWithBounds(
  ids: readonly string[],
): [ids: string, least: string, greatest: string] {
  return [plainArray(ids), ...bounds(ids)];
}

/** Returns the least and the greatest of ids, which must compare as their text does. */
export function bounds(ids: readonly string[]): [least: string, greatest: string] {
  let least = ids[0] as string;
  let greatest = least;
  for (const id of ids) {
    if (id < least) least = id;
    if (id > greatest) greatest = id;
  }
  return [least, greatest];
}
