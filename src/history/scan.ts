import type pg from 'pg';

/**
 * A list reads in two steps: it reads rows in the order of an index, and then selects those that match.
 *
 * Filters without an index are checked row by row, for a limited number of rows a page. So a list that no
 * index fits costs no more than any other: its pages are short or empty, and the cursor continues where the
 * last page stopped reading.
 */
interface Listing {
  /**
   * The name of the prepared statement. Each name must have one text, whatever the values. Undefined: the
   * statement is planned each time.
   */
  readonly name: string | undefined;
  /** Selects rows by index, in order, from the cursor on. `$1` is the most rows to read. */
  readonly rows: string;
  /** Joins for the other columns; `r` is those rows. */
  readonly joins: string;
  readonly shown: string;
  /** The conditions on the rows, and on the joined tables. */
  readonly where: readonly string[];
  readonly whereJoined: readonly string[];
  readonly order: string;
  /** The position of a row: SQL that returns a text[]. */
  readonly position: string;
  readonly values: readonly unknown[];
  /** The most rows on a page, and the most rows read for it. */
  readonly limit: number;
  readonly scan: number;
  /** An additional cost of each row, as SQL with `read` as the row, and the limit of its sum for a page. */
  readonly weight?: { readonly of: string; readonly most: number };
}

export interface Found<Row> {
  readonly rows: readonly Row[];
  /** The position after which the next page begins, or null at the end. */
  readonly next: readonly string[] | null;
}

/** The most rows read for a page: if rows are only filtered, and if each needs a lookup. */
export const SCAN_ROWS = 2_000;
export const SCAN_JOINED_ROWS = 1_000;

/**
 * Reads a page in one pass: Postgres stops reading when the page is full. The last row that may be read is
 * returned whether it matches or not, because the next page begins after it.
 */
export async function readPage<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  listing: Listing,
): Promise<Found<Row>> {
  const { name, rows, joins, shown, where, whereJoined, order, position, values } = listing;
  const { limit, scan, weight } = listing;
  // The last row that may be read: the nth, or the one with which the weights are too much.
  const [weigh, isRead, isLast] =
    weight === undefined
      ? ['', 'true', 'r.n = $1']
      : [
          `, ${weight.of} as weight, sum(${weight.of}) over (order by ${order} rows unbounded preceding) as weights`,
          `r.weights - r.weight < ${weight.most}`,
          `(r.n = $1 or r.weights >= ${weight.most})`,
        ];
  const all = [...where, ...whereJoined].join(' and ') || 'true';
  const { rows: found } = await pool.query<
    Row & { position: string[]; fits: boolean; stop: boolean }
  >({
    ...(name === undefined ? {} : { name }),
    text: `
      select ${shown}, ${position} as position, ${all} as fits, ${isLast} as stop
      from (select read.*, row_number() over (order by ${order}) as n${weigh} from (${rows} limit $1) as read) as r
      ${joins}
      where ${isRead}
        and (${where.join(' and ') || 'true'} or ${isLast})
        and (${whereJoined.join(' and ') || 'true'} or ${isLast})
      order by ${order}
      limit $${values.length + 2}`,
    values: [scan, ...values, limit + 1],
  });
  const fitting = found.filter(({ fits }) => fits);
  const page = fitting.slice(0, limit);
  // There is a next page if more rows match than fit, or if the last row that may be read was read.
  const full = fitting.length > limit;
  const last = full ? page.at(-1) : found.at(-1);
  return {
    rows: page.map(({ position, fits, stop, ...row }) => row as unknown as Row),
    next: last !== undefined && (full || last.stop) ? last.position : null,
  };
}

/** The parameters of a statement, numbered in the order in which they are added. */
export interface Parameters {
  readonly values: unknown[];
  /** Adds a parameter and returns its placeholder, such as `$3::uuid`. */
  add(value: unknown, type: string): string;
  /** Adds a condition that all rows meet if the value is undefined. */
  whereGiven(value: unknown, type: string, condition: (parameter: string) => string): string;
}

/** Creates parameters from `$2` on: `$1` is the most rows to read. */
export function createParameters(): Parameters {
  const values: unknown[] = [];
  const add: Parameters['add'] = (value, type) => {
    values.push(value);
    return `$${values.length + 1}::${type}`;
  };
  return {
    values,
    add,
    // One text for both cases, so that few statements are prepared.
    whereGiven(value, type, condition) {
      const parameter = add(value ?? null, type);
      return `(${parameter} is null or ${condition(parameter)})`;
    },
  };
}

/**
 * SQL for a uuid as a constant. Postgres then plans and locks only the partition of that id; for a parameter
 * of a fixed plan, it plans and locks all of them.
 *
 * @throws TypeError when the text is not a uuid.
 */
export function uuidConstant(id: string): string {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id))
    throw new TypeError(`${JSON.stringify(id)} is not a uuid`);
  return `'${id}'::uuid`;
}

/** SQL for a time from the microseconds since 1970 in a position. It is computed once, not for each row: *measured*, a fourth of the time. */
export function momentOf(microseconds: string): string {
  return `(select 'epoch'::timestamptz + ${microseconds} * interval '1 microsecond')`;
}

/** SQL for the microseconds since 1970 of a column, as text. */
export function microsecondsOf(column: string): string {
  return `(extract(epoch from ${column}) * 1000000)::bigint::text`;
}
