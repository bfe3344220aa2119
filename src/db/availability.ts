import { errorCode, errorMessage } from '../lib/errors.ts';

/**
 * SQLSTATE classes that say nothing about the statement and everything about the moment:
 * connection exceptions, insufficient resources, operator intervention, system errors.
 */
const PASSING_CLASSES = ['08', '53', '57', '58'];
/**
 * read_only_sql_transaction (a standby, or a full disk's guard), lock_not_available, and what a new
 * connection is refused with: no connections allowed, no such database, wrong password.
 */
const PASSING_CODES = ['25006', '55P03', '55000', '3D000', '28000', '28P01'];

/** Whether an error means that the database cannot be used now, rather than that we used it wrongly. */
export function isUnavailable(error: unknown): boolean {
  const code = errorCode(error);
  if (code !== undefined && /^[0-9A-Z]{5}$/.test(code)) {
    return PASSING_CODES.includes(code) || PASSING_CLASSES.includes(code.slice(0, 2));
  }
  if (
    code !== undefined &&
    /^(ECONN|EPIPE|ENOENT|ENOTFOUND|EAI_|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH)/.test(code)
  ) {
    return true;
  }
  // node-postgres gives these no code.
  return /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client has encountered a connection error|Client was closed and is not queryable|timeout expired|Cannot use a pool after)/.test(
    errorMessage(error),
  );
}

/**
 * Whether a statement took too long, or waited too long for a lock. That may be the database's trouble,
 * or that of single rows which the statement is about.
 */
export function isTimeout(error: unknown): boolean {
  const code = errorCode(error);
  if (code === '57014' || code === '55P03') return true;
  return /^Query read timeout/.test(errorMessage(error));
}

/** Whether an error may be caused by single rows of a statement, so that the others should go without them. */
export function mayBeOfRows(error: unknown): boolean {
  return !isUnavailable(error) || isTimeout(error);
}
