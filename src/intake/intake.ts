import type pg from 'pg';
import { createPool, FIXED_PLANS } from '../db/pool.ts';
import { createGroupCommit, TooManyWaitingError } from '../lib/group-commit.ts';
import { acceptWebhooks, type IncomingWebhook } from './accept.sql.ts';

/** Two groups at a time keep Postgres busy while the next ones gather; more only make them smaller. */
const CONNECTIONS = 2;
const MAX_GROUP = 250;
const MAX_GROUP_BYTES = 4 * 1024 * 1024;
const MAX_WAITING = 5_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/** Nothing was accepted, and the client should try again later. */
export class IntakeUnavailableError extends Error {
  override readonly name = 'IntakeUnavailableError';
}

export interface Intake {
  /**
   * Commits a webhook. When this resolves, the webhook will be delivered or visibly fail.
   *
   * @returns its id, or null when the subscription does not exist.
   * @throws IntakeUnavailableError when the database cannot take it or too many are waiting.
   */
  accept(webhook: IncomingWebhook): Promise<string | null>;
  /** Waits until everything that was handed in is decided, then closes the connections. */
  stop(): Promise<void>;
}

/** Webhooks that arrive together are committed together. */
export function createIntake(databaseUrl: string): Intake {
  const pool: pg.Pool = createPool({
    connectionString: databaseUrl,
    purpose: 'intake',
    max: CONNECTIONS,
    settings: { ...FIXED_PLANS, enable_hashjoin: 'off', enable_mergejoin: 'off' },
  });
  const groups = createGroupCommit<IncomingWebhook, string | null>({
    concurrency: CONNECTIONS,
    maxItems: MAX_GROUP,
    weigh: ({ body }) => body.length,
    maxWeight: MAX_GROUP_BYTES,
    maxWaiting: MAX_WAITING,
    maxWaitingWeight: MAX_WAITING_BYTES,
    run: (webhooks) => acceptWebhooks(pool, webhooks),
  });
  return {
    async accept(webhook) {
      try {
        return await groups.add(webhook);
      } catch (error) {
        throw new IntakeUnavailableError(
          error instanceof TooManyWaitingError
            ? 'More webhooks arrive than the database can take'
            : 'The database could not take the webhook',
          { cause: error },
        );
      }
    },
    async stop() {
      await groups.idle();
      await pool.end();
    },
  };
}
