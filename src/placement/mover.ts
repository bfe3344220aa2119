import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';

/**
 * Runs the work in a transaction that may write for a tenant that is closed there (schema/functions/close_tenant.sql).
 */
export async function asMover<T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return await inTransaction(pool, async (client) => {
    await client.query('set local posthorn.mover = on');
    return await work(client);
  });
}

/**
 * Does the same, and only as long as the tenant is closed there: it cannot be opened before the transaction ends. So a
 * mover that was frozen while another one finished the move changes nothing afterwards.
 *
 * @throws OperatorError if the tenant is open there.
 */
export async function whileClosed<T>(
  pool: pg.Pool,
  tenant: string,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> {
  return await asMover(pool, async (client) => {
    const { rowCount } = await client.query(
      'select from posthorn.tenants where id = $1 and closed_at is not null for share',
      [tenant],
    );
    if (rowCount === 0)
      throw new OperatorError(
        `The tenant ${tenant} is open in the database where this move would write, so nothing was written. Another process may have finished or undone the move; run the command again to see.`,
      );
    return await work(client);
  });
}

/**
 * Inserts rows of the same table of another database, as `array_agg(…)::text` has them there.
 *
 * @param table with its schema.
 * @param changes SQL for the columns that are not as they were; null: the column is left to its default.
 */
export async function insertRows(
  client: pg.ClientBase,
  table: string,
  rows: string,
  changes: Readonly<Record<string, string | null>> = {},
): Promise<void> {
  const { rows: columns } = await client.query<{ name: string }>(
    `select attname as name from pg_catalog.pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum`,
    [table],
  );
  const names = columns.map(({ name }) => name).filter((name) => changes[name] !== null);
  await client.query(
    `insert into ${table} (${names.join(', ')}) overriding system value
     select ${names.map((name) => changes[name] ?? name).join(', ')} from unnest($1::${table}[])`,
    [rows],
  );
}

const LOCK_NOT_AVAILABLE = '55P03';
/** As in fence.ts. */
const LOCK_TIMEOUT_MS = 200;
const TRY_AGAIN_MS = 500;
const TRIES = 60;

/** Creates a tenant in a database, closed from the first moment on. If it is there already, it is closed. */
export async function createClosed(target: pg.Pool, tenant: string): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    try {
      await asMover(target, async (client) => {
        await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
        // It may have been deleted there, and created anew at its home.
        await client.query(
          `insert into posthorn.tenants (id) values ($1) on conflict (id) do update set deleted_at = null`,
          [tenant],
        );
        await client.query('select posthorn.close_tenant($1)', [tenant]);
      });
      return;
    } catch (error) {
      if (errorCode(error) !== LOCK_NOT_AVAILABLE || tried === TRIES) throw error;
    }
    await sleep(TRY_AGAIN_MS);
  }
}
