import pg from 'pg';
import { VERSION } from '../version.ts';
import { FrugalClient } from './big-messages.ts';
import { refuseWithoutAnswers } from './no-answer.ts';

// bigint columns are counts, sizes and ids that stay far below 2^53: numbers are what people expect.
const BIGINT_OID = 20;
// In binary these bytes come as a Buffer, of which node-postgres would make a string, or as a string.
const BYTEA_OID = 17;
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === BIGINT_OID && format !== 'binary') return Number;
    if (oid === BYTEA_OID && format === 'binary')
      return (bytes: Buffer | string) => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

export interface PoolOptions {
  readonly connectionString: string;
  /** Shown in `pg_stat_activity`. */
  readonly purpose: string;
  readonly max: number;
  /**
   * Bound of a statement. Postgres cancels it shortly before (SQLSTATE 57014); if even that brings no
   * answer by then, the connection is given up.
   */
  readonly timeoutMs?: number;
  /** Postgres settings of every connection of the pool. */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * For pools whose few statements each have one right plan, by index, at any size of the tables.
 * Without this, a plan made while a table was small (a scan of all of it) may be kept while it
 * grows; and planning over dozens of partitions costs more than the statement does.
 */
export const FIXED_PLANS = {
  plan_cache_mode: 'force_generic_plan',
  enable_seqscan: 'off',
  jit: 'off',
} as const;

/**
 * For lists, and for the queue, which is one: rows are read in the order of an index, and what belongs to each is looked up, so that
 * reading ends with the page. Anything else would read all that fits first.
 */
export const LIST_PLANS = {
  ...FIXED_PLANS,
  enable_hashjoin: 'off',
  enable_mergejoin: 'off',
  enable_bitmapscan: 'off',
} as const;

/**
 * For deliveries that are found by lists of their keys, and joined with what was found after. A nested
 * loop would look the rows up one by one, pruning partitions for each.
 */
export const DELIVERY_PLANS = { ...FIXED_PLANS, enable_nestloop: 'off' } as const;

/**
 * How values are written, which a database or a user may have set otherwise: node-postgres reads
 * dates, intervals and bytes in the forms that these give.
 */
const FORMS = {
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  // And how what is written in statements and migrations is read.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  array_nulls: 'on',
} as const;

/** The connection settings that every client of ours shares. */
export function connectionConfig(connectionString: string, purpose: string): pg.ClientConfig {
  return {
    connectionString,
    application_name: `posthorn ${VERSION} ${purpose}`,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    // Node probes ten times a second apart after that, so an idle connection (LISTEN) that leads
    // nowhere is found within twenty seconds instead of hours.
    keepAliveInitialDelayMillis: 10_000,
    types,
  };
}

/** Nothing of ours takes a tenth of it. An API's caller waits this long when packets are dropped. */
const TIMEOUT_MS = 5_000;
/** What is left of a statement's time for Postgres to say that it has cancelled it. */
const SERVER_SHARE = 0.9;

/**
 * A pool that survives the loss of connections: such a connection is replaced when it is next
 * needed, and whoever needs it then is told if that fails. Where packets are dropped rather than
 * refused, a statement's timeout tells; TCP alone would take a quarter of an hour. A statement that is
 * merely slow is cancelled in Postgres: its connection stays, and nobody else is refused for it.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const { connectionString, purpose, max, timeoutMs = TIMEOUT_MS, settings } = options;
  const pool = new pg.Pool({
    ...connectionConfig(connectionString, purpose),
    Client: FrugalClient,
    max,
    query_timeout: timeoutMs,
    idleTimeoutMillis: 60_000,
    // A statement that only we gave up would run on, and take a core from everybody else.
    onConnect: (client) =>
      configure(client, {
        statement_timeout: `${Math.floor(timeoutMs * SERVER_SHARE)}ms`,
        ...settings,
      }),
  });
  pool.on('error', () => {});
  // A connection that breaks while somebody holds it tells them by their query; the event is extra.
  pool.on('connect', (client) => client.on('error', () => {}));
  refuseWithoutAnswers(pool);
  return pool;
}

/**
 * Sets a new connection up: how values are written, and what else is given.
 *
 * As a statement rather than as startup parameters, which poolers such as PgBouncer refuse.
 */
export async function configure(
  client: pg.ClientBase,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  const all = { ...FORMS, ...settings };
  await client.query(
    'select set_config(name, value, false) from unnest($1::text[], $2::text[]) as s (name, value)',
    [Object.keys(all), Object.values(all)],
  );
}
