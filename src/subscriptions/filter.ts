import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';

/**
 * Checks a filter, as the trigger on the table of subscriptions does.
 *
 * @returns why it cannot be used, or null.
 */
export async function filterProblem(pool: pg.Pool, filter: string): Promise<string | null> {
  try {
    const { rows } = await pool.query<{ problem: string | null }>(
      'select posthorn.filter_problem($1::jsonpath) as problem',
      [filter],
    );
    return rows[0]?.problem ?? null;
  } catch (error) {
    // A syntax error, or an invalid value in the path.
    if (!/^(42601|22)/.test(errorCode(error) ?? '')) throw error;
    return `it is not a JSON path: ${errorMessage(error)}`;
  }
}
