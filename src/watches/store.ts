import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';

/** A table, by its names as Postgres stores them: nothing is quoted, and upper case counts. */
export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** The options of `posthorn.watch`. One that is left out has the default of the function. */
export interface WatchOptions {
  readonly ops?: string[];
  readonly columns?: string[] | null;
  readonly payload_columns?: string[] | null;
  readonly when?: string | null;
  readonly with_old?: boolean;
  readonly ordering_key?: string | null;
  readonly tenant?: string;
  readonly tenant_column?: string | null;
  readonly per?: string;
  readonly event_type?: string;
  readonly on_error?: string;
}

/** A watch as the API shows it. */
export interface Watch extends TableName {
  readonly id: number;
  readonly enabled: boolean;
  readonly owner: string;
  readonly ops: string[];
  readonly columns: string[] | null;
  readonly payload_columns: string[] | null;
  readonly when: string | null;
  readonly with_old: boolean;
  readonly ordering_key: string | null;
  readonly tenant: string | null;
  readonly tenant_column: string | null;
  readonly per: string;
  readonly event_type: string;
  readonly on_error: string;
  readonly failures: number;
  readonly last_failed_at: Date | null;
  readonly last_error: string | null;
}

const READ = `
  select w.id, n.nspname as schema, c.relname as table, w.enabled, w.owner, w.ops, w.columns, w.payload_columns,
    w."when", w.with_old, w.ordering_key, w.tenant, w.tenant_column, w.per, w.event_type, w.on_error,
    w.failures::float8 as failures, w.last_failed_at, w.last_error
  from posthorn.watches w
  join pg_class c on c.oid = w.rel
  join pg_namespace n on n.oid = c.relnamespace`;

/** The types of the options of `posthorn.watch`, and the order in which they are passed. */
const OPTION_TYPES = {
  ops: 'text[]',
  columns: 'text[]',
  payload_columns: 'text[]',
  when: 'text',
  with_old: 'boolean',
  ordering_key: 'text',
  tenant: 'text',
  tenant_column: 'text',
  per: 'text',
  event_type: 'text',
  on_error: 'text',
} as const satisfies Record<keyof WatchOptions, string>;

/**
 * Creating and ending a watch waits for this time at most until no transaction is using the table, because statements
 * on the table wait behind it.
 */
export const LOCK_TIMEOUT_MS = 1_000;
const LIMIT_WAIT = `set local lock_timeout = ${LOCK_TIMEOUT_MS}`;

/** Returns the watches with greater ids, by id. */
export async function listWatches(
  pool: pg.Pool,
  { after, limit }: { after: number; limit: number },
): Promise<Watch[]> {
  const { rows } = await pool.query<Watch>(`${READ} where w.id > $1 order by w.id limit $2`, [
    after,
    limit,
  ]);
  return rows;
}

/** Returns a watch, or undefined. */
export async function getWatch(
  pool: Pick<pg.Pool, 'query'>,
  id: number,
): Promise<Watch | undefined> {
  const { rows } = await pool.query<Watch>(`${READ} where w.id = $1`, [id]);
  return rows[0];
}

/**
 * Creates a watch (`posthorn.watch`) whose condition may only compare values of the row, since its author need not be
 * someone who may run SQL.
 *
 * @returns undefined if there is no such table.
 * @throws pg.DatabaseError if the table cannot be watched so: `column` is the parameter that is wrong, if one is.
 */
export function createWatch(
  pool: pg.Pool,
  { schema, table }: TableName,
  options: WatchOptions,
): Promise<Watch | undefined> {
  const given = (Object.keys(OPTION_TYPES) as (keyof WatchOptions)[]).filter(
    (name) => options[name] !== undefined,
  );
  return inTransaction(pool, async (client) => {
    await client.query(LIMIT_WAIT);
    const { rows: tables } = await client.query<{ oid: string }>(
      `select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where n.nspname = $1 and c.relname = $2 and c.relkind not in ('i', 'I')`,
      [schema, table],
    );
    const oid = tables[0]?.oid;
    if (oid === undefined) return undefined;
    // The table first, so that an error about it is not hidden by one about the condition.
    await client.query('select posthorn.check_watchable($1::oid, $2)', [
      oid,
      options.per ?? 'statement',
    ]);
    await client.query(`select posthorn.check_plain_condition($1::oid, $2, 'watch', 'when')`, [
      oid,
      options.when ?? null,
    ]);
    const parameters = given.map((name, n) => `, "${name}" => $${n + 2}::${OPTION_TYPES[name]}`);
    const { rows } = await client.query<{ id: number }>(
      `select posthorn.watch($1::oid${parameters.join('')}) as id`,
      [oid, ...given.map((name) => options[name])],
    );
    return await getWatch(client, rows[0]?.id ?? 0);
  });
}

/**
 * Ends a watch (`posthorn.unwatch`).
 *
 * @throws pg.DatabaseError if there is no such watch, or the service does not have the rights of its owner.
 */
export function endWatch(pool: pg.Pool, id: number): Promise<void> {
  return inTransaction(pool, async (client) => {
    await client.query(LIMIT_WAIT);
    await client.query('select posthorn.unwatch($1::oid)', [id]);
  });
}
