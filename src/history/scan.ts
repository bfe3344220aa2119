import type pg from 'pg';

/**
 * What a list reads, in two steps: rows in the order of an index, and of these the ones that fit.
 *
 * The index decides where there may be many rows; what only filters is judged row by row, for so many
 * rows a page and no more. So a question that no index answers costs no more than any other: its
 * pages are short, or empty, and the cursor goes on where the last one stopped reading.
 */
export interface Listing {
  /** Of the prepared statement: a name has one text, whatever the values. */
  readonly name: string;
  /** Selects rows by index, in order, from the cursor on. `$1` is how many are read at the most. */
  readonly rows: string;
  /** Joins to `r`, which is those rows, what is shown besides. */
  readonly joins: string;
  readonly shown: string;
  /** What must be so of the rows alone, and of what is joined. */
  readonly where: readonly string[];
  readonly whereJoined: readonly string[];
  readonly order: string;
  /** What of a row is its position: SQL that gives a text[]. */
  readonly position: string;
  readonly values: readonly unknown[];
  /** Rows on a page, and rows read for it. */
  readonly limit: number;
  readonly scan: number;
}

export interface Found<Row> {
  readonly rows: readonly Row[];
  /** The position after which the next page begins, or null at the end. */
  readonly next: readonly string[] | null;
}

/** Rows read for a page, where each is judged by itself or something must be looked up for it. */
export const SCAN_ROWS = 2_000;
export const SCAN_JOINED_ROWS = 1_000;

/**
 * Reads a page, in one pass: Postgres stops reading when the page is full. The last row that may be
 * read comes along whether it fits or not, since the next page begins after it.
 */
export async function readPage<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  listing: Listing,
): Promise<Found<Row>> {
  const { name, rows, joins, shown, where, whereJoined, order, position, values } = listing;
  const { limit, scan } = listing;
  const all = [...where, ...whereJoined].join(' and ') || 'true';
  const { rows: found } = await pool.query<
    Row & { position: string[]; fits: boolean; stop: boolean }
  >({
    name,
    text: `
      select ${shown}, ${position} as position, ${all} as fits, r.n = $1 as stop
      from (select read.*, row_number() over (order by ${order}) as n from (${rows} limit $1) as read) as r
      ${joins}
      where (${where.join(' and ') || 'true'} or r.n = $1)
        and (${whereJoined.join(' and ') || 'true'} or r.n = $1)
      order by ${order}
      limit $${values.length + 2}`,
    values: [scan, ...values, limit + 1],
  });
  const fitting = found.filter(({ fits }) => fits);
  const page = fitting.slice(0, limit);
  // Either there are more than go on it, or the last that may be read has been.
  const full = fitting.length > limit;
  const last = full ? page.at(-1) : found.at(-1);
  return {
    rows: page.map(({ position, fits, stop, ...row }) => row as unknown as Row),
    next: last !== undefined && (full || last.stop) ? last.position : null,
  };
}

/** The parameters of a statement, numbered as they are written. */
export interface Parameters {
  readonly values: unknown[];
  /** Adds one and gives its place, such as `$3::uuid`. */
  add(value: unknown, type: string): string;
  /** Adds a condition that holds for all rows where nothing is given. */
  whereGiven(value: unknown, type: string, condition: (parameter: string) => string): string;
}

/** Parameters from `$2` on: `$1` is how many rows are read. */
export function createParameters(): Parameters {
  const values: unknown[] = [];
  const add: Parameters['add'] = (value, type) => {
    values.push(value);
    return `$${values.length + 1}::${type}`;
  };
  return {
    values,
    add,
    // One text for both, so that there are few statements to prepare.
    whereGiven(value, type, condition) {
      const parameter = add(value ?? null, type);
      return `(${parameter} is null or ${condition(parameter)})`;
    },
  };
}

/** A moment of which the position has the microseconds since 1970. */
export function momentOf(microseconds: string): string {
  return `('epoch'::timestamptz + ${microseconds} * interval '1 microsecond')`;
}

/** The same of a column, as text. */
export function microsecondsOf(column: string): string {
  return `(extract(epoch from ${column}) * 1000000)::bigint::text`;
}
