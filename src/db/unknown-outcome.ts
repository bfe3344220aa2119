import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { wasNotSent } from './driver.ts';

/**
 * The statement was sent and its outcome is unknown: the connection was lost, or the answer did not come in
 * time. It may have been committed, or may still be.
 */
export class OutcomeUnknownError extends Error {
  override readonly name = 'OutcomeUnknownError';
}

/**
 * Runs one statement, as `pool.query` does, for callers that must know whether it was carried out.
 *
 * @throws OutcomeUnknownError when it may have been. Any other error means that it was not: there was no
 *   connection to send it on, or Postgres refused it.
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

/**
 * Errors that leave the outcome open: of a pooler that has lost Postgres, and of Postgres when it shuts
 * down, which may be after the commit.
 */
const OUTCOME_OPEN = /^(08...|57P01|57P02|40003)$/;

function didNotHappen(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) return !OUTCOME_OPEN.test(code);
  return wasNotSent(error);
}
