import type { IncomingWebhook } from './accept.sql.ts';
import { IntakeRefusedError } from './errors.ts';

/** Runs the work of a request, if no other request with its idempotency key runs. */
export type OneAtATime = <T>(
  webhook: IncomingWebhook | undefined,
  work: () => Promise<T>,
) => Promise<T>;

/**
 * Keeps two requests of this process with one idempotency key out of one group, where they would count as one
 * request. Requests in other processes are found by the database.
 *
 * The returned function throws an IntakeRefusedError if another request with the key runs.
 */
export function createOneAtATime(): OneAtATime {
  const running = new Set<string>();
  return async (webhook, work) => {
    if (webhook === undefined || webhook.idempotency === null) return await work();
    const name = `${webhook.tenant}\n${webhook.idempotency.key}`;
    if (running.has(name)) throw new IntakeRefusedError('in_flight');
    running.add(name);
    try {
      return await work();
    } finally {
      running.delete(name);
    }
  };
}
