import { errorCode } from '../lib/errors.ts';
import { isConnectionLost, isUnanswered } from './driver.ts';

/**
 * SQLSTATE classes of errors that are temporary and not caused by the statement: connection exceptions,
 * insufficient resources, operator intervention, system errors.
 */
const TEMPORARY_CLASSES = ['08', '53', '57', '58'];
/**
 * read_only_sql_transaction (a standby, or a guard against a full disk), lock_not_available, and the errors
 * that refuse a new connection: no connections allowed, no such database, wrong password.
 */
const TEMPORARY_CODES = ['25006', '55P03', '55000', '3D000', '28000', '28P01'];

/** Returns true if an error means that the database cannot be used now, not that a statement is wrong. */
export function isUnavailable(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) {
    return TEMPORARY_CODES.includes(code) || TEMPORARY_CLASSES.includes(code.slice(0, 2));
  }
  if (
    code !== undefined &&
    /^(ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)/.test(code)
  ) {
    return true;
  }
  return isConnectionLost(error);
}

/** Returns true if Postgres cancelled a statement, as for its `statement_timeout`: nothing of it was committed. */
export function isCancelled(error: unknown): boolean {
  return errorCode(error) === '57014';
}

/**
 * Returns true if a statement took too long, or waited too long for a lock. The cause may be the database,
 * or single rows of the statement.
 */
export function isTimeout(error: unknown): boolean {
  if (isCancelled(error) || errorCode(error) === '55P03') return true;
  return isUnanswered(error);
}

/** Temporary by their class, and yet one row may cause them: out of memory, a file that cannot be read. */
const MAY_BE_ONE_ROW = ['53200', '58030'];

/** Returns true if single rows of a statement may have caused the error, so that the others can be tried without them. */
export function mayBeOfRows(error: unknown): boolean {
  return (
    !isUnavailable(error) || isTimeout(error) || MAY_BE_ONE_ROW.includes(errorCode(error) ?? '')
  );
}

/**
 * Returns true if the error is one that Postgres gives because of a row, or takes too long because of it. For
 * decisions that are final: an error of this process, or of the statement itself (class 42: no such column, no
 * right to read it), says nothing about a row.
 */
export function isOfRows(error: unknown): boolean {
  const code = errorCode(error) ?? '';
  const fromPostgres = /^[0-9A-Z]{5}$/.test(code) && !code.startsWith('42');
  return mayBeOfRows(error) && (fromPostgres || isTimeout(error));
}
