import type pg from 'pg';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { openOrExplain } from './connect.ts';

/** For how long a connection has a session of Postgres: as long as it is open, or a pooler takes it back before. */
export type Pooling = 'session' | 'transaction' | 'statement';

/**
 * Two connections ask in this order which session they have. Without a pooler, or with session pooling, each
 * always has its own. With a pooler that takes sessions back, both soon have the same, or one has several: also
 * if it hands out two servers in turns, since one of the connections asks twice in a row.
 */
const ORDER = [0, 1, 1, 0, 0, 1, 1, 1, 0, 0];

/**
 * Finds out whether a pooler such as PgBouncer takes sessions back while connections are open. It leaves nothing
 * in any session.
 *
 * @throws OperatorError when the database cannot be reached.
 */
export async function findPooling(databaseUrl: string): Promise<Pooling> {
  const clients: pg.Client[] = [];
  try {
    for (let n = 0; n < 2; n++) clients.push(await openOrExplain(databaseUrl, 'start'));
    const seen = [new Set<number>(), new Set<number>()] as const;
    for (const turn of ORDER) {
      const { rows } = await (clients[turn] as pg.Client).query<{ pid: number }>(
        'select pg_catalog.pg_backend_pid() as pid',
      );
      seen[turn as 0 | 1].add(rows[0]?.pid as number);
    }
    const [first, second] = seen;
    if (first.size === 1 && second.size === 1 && !first.has([...second][0] as number))
      return 'session';
    return (await hasTransactions(clients[0] as pg.Client)) ? 'transaction' : 'statement';
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(
      `The database does not answer: ${errorMessage(error)}. Check DATABASE_URL, and the pooler if it names one.`,
      { cause: error },
    );
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})));
  }
}

/** Returns whether transactions of several statements are possible: statement pooling refuses them. */
async function hasTransactions(client: pg.Client): Promise<boolean> {
  try {
    await client.query('begin');
    await client.query('rollback');
    return true;
  } catch {
    return false;
  }
}

const REMEDY = 'set DATABASE_URL to Postgres itself, or to a pool with pool_mode=session';

/** @throws OperatorError with one line that says what to do, unless each connection has its own session. */
export function requireSessions(pooling: Pooling): void {
  requireTransactions(pooling);
  if (pooling === 'transaction')
    throw new OperatorError(
      `DATABASE_URL leads through a pooler that shares sessions (PgBouncer with pool_mode=transaction). Workers and migrations need sessions of their own: ${REMEDY}. Only an API works through this pooler: POSTHORN_ROLE=api.`,
    );
}

/** @throws OperatorError with one line that says what to do, if there are no transactions of several statements. */
export function requireTransactions(pooling: Pooling): void {
  if (pooling === 'statement')
    throw new OperatorError(
      `DATABASE_URL leads through a pooler that allows no transactions (PgBouncer with pool_mode=statement). Posthorn needs them: ${REMEDY}; for an API (POSTHORN_ROLE=api), pool_mode=transaction is enough.`,
    );
}
