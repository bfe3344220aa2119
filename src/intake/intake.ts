import type pg from 'pg';
import { endSoon } from '../db/end-soon.ts';
import { POOL_PLANS } from '../db/planner.ts';
import { createPool } from '../db/pool.ts';
import type { AcceptedWebhook, Answer, IncomingWebhook } from './accept.sql.ts';
import { BATCH_TIMEOUT_MS, createBatches } from './batches.ts';
import { createBulkDetector } from './bulk.ts';
import { explained, IntakeRefusedError } from './errors.ts';
import type { NearbyWorker } from './nearby-worker.ts';
import { createOneAtATime } from './one-at-a-time.ts';
import { createSingleWebhooks, SHARED_CONNECTIONS } from './single-webhooks.ts';

/** A connection for webhooks that are accepted apart, and a connection for slow batches. */
const APART_CONNECTIONS = 2;
/** Long enough for a webhook to a hundred thousand subscriptions; only its own tenant waits for it. */
const APART_TIMEOUT_MS = 10_000;

export interface Intake {
  /**
   * Commits a webhook. Once this resolves, the webhook will be delivered, or its failure will be recorded.
   *
   * @returns the accepted webhook, or null when the subscription does not exist.
   * @throws IntakeUnavailableError when the database cannot take it or too many are waiting.
   * @throws IntakeUnknownError when it may have been accepted all the same.
   * @throws IntakeRefusedError because of its idempotency key, or the cost of its filters.
   */
  accept(webhook: IncomingWebhook): Promise<AcceptedWebhook | null>;
  /**
   * Commits webhooks of one tenant together, all or none of them.
   *
   * @throws IntakeUnavailableError when the database cannot take them or too many are waiting.
   * @throws IntakeUnknownError when they may have been accepted all the same.
   * @throws IntakeRefusedError because of the idempotency key that they share, or the cost of the
   *   filters of a webhook.
   */
  acceptAll(webhooks: readonly IncomingWebhook[]): Promise<(AcceptedWebhook | null)[]>;
  /** Its pools of connections, by name, for metrics. */
  readonly pools: Readonly<Record<string, pg.Pool>>;
  /** Waits until every webhook that was handed in is accepted or refused, then closes the connections. */
  stop(): Promise<void>;
}

/**
 * Creates the intake: the one door of webhooks that come over HTTP. Single webhooks share statements, and
 * batches have statements of their own.
 *
 * @param sharesSessions whether a pooler gives each transaction another session (db/pooling.ts).
 * @param worker of this process, if there is one.
 * @param onGroup called with the number of webhooks of each shared statement, for metrics.
 */
export function createIntake(
  databaseUrl: string,
  sharesSessions: boolean,
  worker?: NearbyWorker,
  onGroup: (webhooks: number) => void = () => {},
): Intake {
  const database = { connectionString: databaseUrl, settings: POOL_PLANS.intake, sharesSessions };
  const pool = createPool({ ...database, purpose: 'intake', max: SHARED_CONNECTIONS });
  const apartPool = createPool({
    ...database,
    purpose: 'intake apart',
    max: APART_CONNECTIONS,
    timeoutMs: APART_TIMEOUT_MS,
  });
  const batchPool = createPool({
    ...database,
    purpose: 'batches',
    max: 1,
    timeoutMs: BATCH_TIMEOUT_MS,
  });
  const singles = createSingleWebhooks({ pool, apartPool, handOver: worker?.handOver, onGroup });
  const batches = createBatches(batchPool, apartPool);
  const oneAtATime = createOneAtATime();
  const detector = createBulkDetector();

  /** Returns whether the webhook's sender sends in bulk, with so many more. */
  function isBulk({ subscriptionId, tenant, eventType }: IncomingWebhook, count: number): boolean {
    return detector.count(tenant, subscriptionId ?? `${tenant}\n${eventType}`, count);
  }

  async function acceptOne(webhook: IncomingWebhook): Promise<Answer> {
    const answer = await singles.accept(webhook, isBulk(webhook, 1));
    afterAnswer(webhook, answer);
    return answer;
  }

  async function acceptBatch(webhooks: readonly IncomingWebhook[]): Promise<Answer[]> {
    // Whatever its types, a large batch is many.
    const bulk = webhooks[0] !== undefined && isBulk(webhooks[0], webhooks.length);
    const answers = await batches.accept(webhooks, bulk);
    for (const [n, webhook] of webhooks.entries()) afterAnswer(webhook, answers[n] ?? null);
    return answers;
  }

  function afterAnswer(webhook: IncomingWebhook, answer: Answer): void {
    // Each of its deliveries takes as long as a webhook of its own.
    if (answer !== null && typeof answer === 'object' && !answer.replayed && answer.deliveries > 1)
      isBulk(webhook, answer.deliveries - 1);
    // The job of a webhook that is scheduled for soon is taken in time, instead of at the next poll.
    const { deliverAt } = webhook;
    if (deliverAt !== null) worker?.wakeIn(Math.max(0, deliverAt.getTime() - Date.now()));
  }

  return {
    accept: (webhook) =>
      oneAtATime(webhook, async () => accepted(await explained(acceptOne(webhook)))),
    acceptAll: (webhooks) =>
      oneAtATime(webhooks[0], async () => (await explained(acceptBatch(webhooks))).map(accepted)),
    pools: { intake: pool, 'intake apart': apartPool, batches: batchPool },
    async stop() {
      await Promise.all([singles.idle(), batches.idle()]);
      await endSoon(pool.end(), apartPool.end(), batchPool.end());
    },
  };
}

function accepted(answer: Answer): AcceptedWebhook | null {
  if (answer === 'apart') throw new Error('a webhook was to be accepted apart, and was not');
  if (typeof answer === 'string') throw new IntakeRefusedError(answer);
  return answer;
}
