import type pg from 'pg';
import { endSoon } from '../db/ending.ts';
import { OutcomeUnknownError } from '../db/outcome.ts';
import { createPool, FIXED_PLANS } from '../db/pool.ts';
import { createGroupCommit, TooManyWaitingError } from '../lib/group-commit.ts';
import { type AcceptedWebhook, acceptWebhooks, type IncomingWebhook } from './accept.sql.ts';

/** Two groups at a time keep Postgres busy while the next ones gather; more only make them smaller. */
const CONNECTIONS = 2;
const MAX_GROUP = 250;
/** Large bodies go alone, without a copy that puts them one behind the other. */
const MAX_GROUP_BYTES = 1024 * 1024;
const MAX_WAITING = 5_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
const MAX_WAITING_BATCHES = 50;

/** Nothing was accepted, and the client should try again later. */
export class IntakeUnavailableError extends Error {
  override readonly name = 'IntakeUnavailableError';
}

/** It was handed to the database, which did not say what became of it. */
export class IntakeUnknownError extends Error {
  override readonly name = 'IntakeUnknownError';
}

export interface Intake {
  /**
   * Commits a webhook. When this resolves, the webhook will be delivered or visibly fail.
   *
   * @returns what it became, or null when the subscription does not exist.
   * @throws IntakeUnavailableError when the database cannot take it or too many are waiting.
   * @throws IntakeUnknownError when it may have been accepted all the same.
   */
  accept(webhook: IncomingWebhook): Promise<AcceptedWebhook | null>;
  /**
   * Commits webhooks together, all or none of them.
   *
   * @throws IntakeUnavailableError when the database cannot take them or too many are waiting.
   * @throws IntakeUnknownError when they may have been accepted all the same.
   */
  acceptAll(webhooks: readonly IncomingWebhook[]): Promise<(AcceptedWebhook | null)[]>;
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
  const groups = createGroupCommit<IncomingWebhook, AcceptedWebhook | null>({
    concurrency: CONNECTIONS,
    maxItems: MAX_GROUP,
    weigh: ({ body }) => body.length,
    maxWeight: MAX_GROUP_BYTES,
    maxWaiting: MAX_WAITING,
    maxWaitingWeight: MAX_WAITING_BYTES,
    run: (webhooks) => acceptWebhooks(pool, webhooks),
  });
  // A batch is a group already; what it shares with single webhooks is the number of connections.
  const batches = createGroupCommit<readonly IncomingWebhook[], (AcceptedWebhook | null)[]>({
    concurrency: 1,
    maxItems: 1,
    weigh: (webhooks) => webhooks.reduce((bytes, { body }) => bytes + body.length, 0),
    maxWaiting: MAX_WAITING_BATCHES,
    maxWaitingWeight: MAX_WAITING_BYTES,
    run: async ([webhooks = []]) => [await acceptWebhooks(pool, webhooks)],
  });

  async function explained<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof OutcomeUnknownError) {
        throw new IntakeUnknownError('The database did not answer whether it took the webhook', {
          cause: error,
        });
      }
      throw new IntakeUnavailableError(
        error instanceof TooManyWaitingError
          ? 'More webhooks arrive than the database can take'
          : 'The database could not take the webhook',
        { cause: error },
      );
    }
  }

  return {
    accept: (webhook) => explained(groups.add(webhook)),
    acceptAll: (webhooks) => explained(batches.add(webhooks)),
    async stop() {
      await Promise.all([groups.idle(), batches.idle()]);
      await endSoon(pool.end());
    },
  };
}
