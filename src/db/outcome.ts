import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';

/**
 * The statement was sent, and nobody knows what became of it: the connection was lost, or the answer
 * did not come in time. It may have been committed, and may still be.
 */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
}

/**
 * Runs one statement, as `pool.query` does, for callers who must know whether it happened.
 *
 * @throws OutcomeUnknownError when it may have. Any other error means that it did not: there was no
 *   connection to send it on, or Postgres said no.
 */
export async function queryToKnow<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<Row>> {
  const client = await pool.connect();
  try {
    const result = await client.query<Row>(statement);
    client.release();
    return result;
  } catch (error) {
    client.release(error as Error);
    if (didNotHappen(error)) throw error;
    throw new OutcomeUnknownError(errorMessage(error), { cause: error });
  }
}

/** What node-postgres says of a connection that had broken before it was given the statement. */
const NOT_SENT = /^Client (was closed|has encountered a connection error) and is not queryable/;
/**
 * What a pooler between us and Postgres says when it has lost Postgres, and what Postgres says as it
 * goes down, which may be after the commit.
 */
const SAYS_NOTHING = /^(08...|57P01|57P02|40003)$/;

function didNotHappen(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) return !SAYS_NOTHING.test(code);
  return NOT_SENT.test(errorMessage(error));
}
