import type { DatabaseError } from 'pg';
import { isCancelled } from '../db/availability.ts';
import { OutcomeUnknownError } from '../db/unknown-outcome.ts';
import { errorCode } from '../lib/errors.ts';
import { TooManyWaitingError } from '../lib/group-commit.ts';
import type { Refusal } from './accept.sql.ts';

/** Nothing was accepted; the client should try again later. */
export class IntakeUnavailableError extends Error {
  override readonly name = 'IntakeUnavailableError';
}

/** The database did not answer, so the webhook may have been accepted. */
export class IntakeUnknownError extends Error {
  override readonly name = 'IntakeUnknownError';
}

/** Nothing was accepted, because of the request itself. */
export class IntakeRefusedError extends Error {
  override readonly name = 'IntakeRefusedError';
  readonly reason: Refusal;

  constructor(reason: Refusal) {
    super(`The webhook was refused: ${reason}`);
    this.reason = reason;
  }
}

/** The error of posthorn.accept when a webhook of a batch is refused for the cost of its filters, or for its fan-out. */
const PROGRAM_LIMIT_EXCEEDED = '54000';
/** The error for whatever is refused because its tenant is closed in this database (schema/functions/close_tenant.sql). */
export const TENANT_CLOSED = 'PH002';

/** Returns the tenant that an error says is closed in this database, or undefined for another error. */
export function closedTenant(error: unknown): string | undefined {
  if (errorCode(error) !== TENANT_CLOSED) return undefined;
  return (JSON.parse((error as DatabaseError).detail ?? '{}') as { tenant?: string }).tenant;
}

/** Returns whether a statement was cancelled, for the time it took, before it could commit. */
export function tookTooLong(error: unknown): boolean {
  return !(error instanceof OutcomeUnknownError) && isCancelled(error);
}

/** Waits for work of the intake. If it fails, says with one of the errors above what the client can do. */
export async function explained<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof OutcomeUnknownError) {
      throw new IntakeUnknownError('The database did not answer whether it took the webhook', {
        cause: error,
      });
    }
    if (errorCode(error) === PROGRAM_LIMIT_EXCEEDED)
      throw new IntakeRefusedError(
        (error as DatabaseError).constraint === 'fan_out' ? 'fan_out' : 'filters_cost',
      );
    if (errorCode(error) === TENANT_CLOSED) throw new IntakeRefusedError('closed');
    throw new IntakeUnavailableError(
      error instanceof TooManyWaitingError
        ? 'More webhooks arrive than the database can take'
        : 'The database could not take the webhook',
      { cause: error },
    );
  }
}
