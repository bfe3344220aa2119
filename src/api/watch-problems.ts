import { isTimeout } from '../db/availability.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { LOCK_TIMEOUT_MS, type Watch } from '../watches/store.ts';
import { invalidField, Problem, unavailable } from './problems.ts';

/** The field of a parameter of posthorn.watch or posthorn.backfill, if it has another name. */
const FIELDS: Readonly<Record<string, string>> = { rel: 'table' };

/**
 * Makes a problem of an error that the SQL functions of watches raise. The functions name the parameter that is wrong
 * as the error's column.
 *
 * - A wrong value is a 400 for its field.
 * - Rights that the service's role lacks in the database are a 409, because no other request would help: the key is
 *   allowed to do it, and an administrator of the database has to change something.
 * - A table that is in use for too long is a 503.
 *
 * @returns the error itself if it has another cause.
 */
export function watchProblem(error: unknown): unknown {
  const { column, hint } = error as { column?: string; hint?: string };
  const code = errorCode(error) ?? '';
  const message = [errorMessage(error), hint].filter((part) => part !== undefined).join('. ');
  if (isTimeout(error))
    return unavailable(
      `Other transactions were using the table for longer than ${LOCK_TIMEOUT_MS / 1000} s. Nothing was changed. Try again when they have ended.`,
      error,
    );
  if (code === INSUFFICIENT_PRIVILEGE || code === NOT_IN_PREREQUISITE_STATE)
    return new Problem('conflict', `The database does not allow it: ${message}`, {
      cause: error,
      ...(column === 'rel' ? { errors: [{ field: 'body.table', message }] } : {}),
    });
  if (code === FOREIGN_KEY_VIOLATION && /^there is no tenant /.test(errorMessage(error)))
    return invalidField('body.tenant', `names no tenant: ${message}`);
  if (column === undefined) return error;
  return invalidField(`body.${FIELDS[column] ?? column}`, `was refused: ${message}`);
}

/** The 409 for a watch whose owner has rights that the service's role lacks. */
export function foreignWatch({ id, owner, schema, table }: Watch): Problem {
  return new Problem(
    'conflict',
    `The database does not allow it: the watch ${id} on ${schema}.${table} belongs to the role "${owner}", whose rights Posthorn's role does not have. Do it in SQL as "${owner}", or grant "${owner}" to the role that Posthorn connects as.`,
  );
}

const INSUFFICIENT_PRIVILEGE = '42501';
/** Also in isUnavailable, for a standby; the functions of watches raise it for a table that has changed. */
const NOT_IN_PREREQUISITE_STATE = '55000';
const FOREIGN_KEY_VIOLATION = '23503';
