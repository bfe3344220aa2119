import type pg from 'pg';
import { isUnavailable } from '../db/availability.ts';
import { endSoon } from '../db/end-soon.ts';
import { POOL_PLANS } from '../db/planner.ts';
import { createPool } from '../db/pool.ts';
import { OutcomeUnknownError } from '../db/unknown-outcome.ts';
import { errorCode } from '../lib/errors.ts';
import { createGroupCommit, type GroupCommit, TooManyWaitingError } from '../lib/group-commit.ts';
import {
  type AcceptedWebhook,
  type Apart,
  acceptWebhooks,
  type HandedOver,
  type IncomingWebhook,
  type Refusal,
} from './accept.sql.ts';
import { createBulkDetector } from './bulk.ts';

/** A second group runs only while the first takes long: a group that waits for a lock must not delay the others. */
const CONNECTIONS = 2;
/**
 * Webhooks that arrive while a group is committed, which takes some 2 ms, wait for the next group. *Measured*
 * against starting a second group at once, from 64 connections: Postgres had a fifth less to do, and took a
 * tenth more webhooks a second. Groups with keys and filters take longer and are faster two at a time: with
 * 10 ms here, throughput was a tenth lower.
 */
const BESIDE_MS = 5;
const MAX_GROUP = 250;
/** A large body forms a group alone, so that bodies need not be copied into one buffer. */
const MAX_GROUP_BYTES = 1024 * 1024;
const MAX_WAITING = 5_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** A connection for webhooks that are accepted apart, and a connection for slow batches. */
const APART_CONNECTIONS = 2;
/** Long enough for a webhook to a hundred thousand subscriptions; only its own tenant waits for it. */
const APART_TIMEOUT_MS = 10_000;
/** Batches of other tenants wait for a batch. A thousand ordinary webhooks take a twentieth of this time. */
const BATCH_TIMEOUT_MS = 2_500;
const MAX_WAITING_BATCHES = 50;
const MAX_WAITING_APART_BYTES = 32 * 1024 * 1024;
/** For this long, webhooks of a tenant that took too long for a shared statement are accepted apart. */
const APART_FOR_MS = 10_000;
/** For this long, batches of a tenant whose batch took too long use the connection for slow batches. */
const SLOW_FOR_MS = 60_000;

/**
 * Webhooks of a bulk sender are accepted when those before them are sent, or after this time. Without it, all
 * would be accepted first, and each would wait for all before it: with ten subscriptions, 1.5 s at full load.
 */
const FINISH_FIRST_MS = 250;

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

/** The error of posthorn.accept when a webhook of a batch is refused for the cost of its filters. */
const PROGRAM_LIMIT_EXCEEDED = '54000';
const QUERY_CANCELED = '57014';

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
   * Commits webhooks together, all or none of them.
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
 * Takes deliveries over from intake, to send them from memory at once. They need no job, so the queue has nothing
 * to do for them (sending/hand-over.ts).
 */
export interface HandOver {
  /**
   * Keeps room for the deliveries of webhooks that are about to be committed.
   *
   * @returns null: they have to go through the queue.
   */
  reserve(webhooks: readonly IncomingWebhook[]): Reservation | null;
  /**
   * Waits until most of the deliveries in memory have ended, and at most so long.
   *
   * @returns undefined if there is nothing to wait for.
   */
  whenFree(maxMs: number): Promise<void> | undefined;
}

/** Room for deliveries. Exactly one of its functions must be called. */
export interface Reservation {
  /** The number by which the database knows the worker. */
  readonly number: number;
  /** The most deliveries that it takes. The others get jobs. */
  readonly room: number;
  /** The webhooks were committed, and these deliveries have no jobs. */
  begin(deliveries: readonly HandedOver[]): void;
  /**
   * Nothing was handed over.
   *
   * @param isKnown false: deliveries may have been committed that nobody knows of.
   */
  cancel(isKnown: boolean): void;
}

/** The worker in the process of the intake. */
export interface NearbyWorker {
  readonly handOver: HandOver;
  /** Looks for due jobs in so many milliseconds. */
  wakeIn(delayMs: number): void;
}

type Answer = AcceptedWebhook | Refusal | Apart | null;

type Groups = GroupCommit<IncomingWebhook, Answer>;
type Batch = readonly IncomingWebhook[];

/**
 * Creates the intake. It commits webhooks that arrive together in one statement, whatever their tenants, as
 * long as that is quick. Batches, large fan-outs and many filters take longer, so they are committed in
 * statements that delay only their own tenant.
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
  const handOver = worker?.handOver;
  const database = { connectionString: databaseUrl, settings: POOL_PLANS.intake, sharesSessions };
  const pool = createPool({
    ...database,
    purpose: 'intake',
    max: CONNECTIONS,
  });
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
  const common = {
    maxItems: MAX_GROUP,
    weigh: ({ body }: IncomingWebhook) => body.length,
    maxWeight: MAX_GROUP_BYTES,
    ownerOf: ({ tenant }: IncomingWebhook) => tenant,
    maxWaiting: MAX_WAITING,
  };
  // Webhooks of a bulk sender wait for each other, and webhooks of other senders do not wait for them.
  const [groups, bulkGroups] = [false, true].map((bulk) =>
    createGroupCommit<IncomingWebhook, Answer>({
      ...common,
      concurrency: CONNECTIONS,
      besideMs: BESIDE_MS,
      maxWaitingWeight: MAX_WAITING_BYTES,
      run: (webhooks) => {
        onGroup(webhooks.length);
        return acceptShared(pool, webhooks, bulk, handOver);
      },
    }),
  ) as [Groups, Groups];
  const apartGroups = createGroupCommit<IncomingWebhook, Answer>({
    ...common,
    concurrency: 1,
    apart: true,
    maxWaitingWeight: MAX_WAITING_APART_BYTES,
    // Bulk, because their deliveries are so many that those of others go first.
    run: async (webhooks) =>
      (await acceptWebhooks(apartPool, webhooks, { bulk: true, apart: true })).answers,
  });
  // A batch that takes too long is cancelled in the first queue and repeated in the second, where batches of
  // tenants with much fan-out wait for each other.
  const batchesInTurns = {
    concurrency: 1,
    maxItems: 1,
    weigh: (webhooks: Batch) => webhooks.reduce((bytes, { body }) => bytes + body.length, 0),
    ownerOf: tenantOf,
    maxWaiting: MAX_WAITING_BATCHES,
    maxWaitingWeight: MAX_WAITING_APART_BYTES,
  };
  const batches = createGroupCommit<Batch, Answer[] | 'slow'>({
    ...batchesInTurns,
    run: async ([webhooks = []]) => {
      const tenant = tenantOf(webhooks);
      if (isIn(slowUntil, tenant)) return ['slow'];
      try {
        return [await acceptTogether(batchPool, webhooks)];
      } catch (error) {
        const isSlow =
          !(error instanceof OutcomeUnknownError) && errorCode(error) === QUERY_CANCELED;
        if (!isSlow) throw error;
        slowUntil.set(tenant, performance.now() + SLOW_FOR_MS);
        return ['slow'];
      }
    },
  });
  const slowBatches = createGroupCommit<Batch, Answer[]>({
    ...batchesInTurns,
    run: async ([webhooks = []]) => [await acceptTogether(apartPool, webhooks)],
  });
  const detector = createBulkDetector();
  const isBulk = ({ subscriptionId, tenant, eventType }: IncomingWebhook, count: number) =>
    detector.count(tenant, subscriptionId ?? `${tenant}\n${eventType}`, count);
  /** Until when webhooks that a tenant sends by event type do not use a shared statement. */
  const apartUntil = new Map<string, number>();
  /** The same of their batches. */
  const slowUntil = new Map<string, number>();

  async function acceptOne(webhook: IncomingWebhook): Promise<Answer> {
    const { tenant, subscriptionId } = webhook;
    const bulk = isBulk(webhook, 1);
    let answer: Answer = 'apart';
    if (subscriptionId !== null || !isIn(apartUntil, tenant)) {
      answer = await (bulk ? bulkGroups : groups).add(webhook);
      if (answer === 'apart') apartUntil.set(tenant, performance.now() + APART_FOR_MS);
    }
    while (answer === 'apart') answer = await apartGroups.add(webhook);
    countFanOut(webhook, answer);
    wakeFor(webhook);
    return answer;
  }

  /** The job of a webhook that is scheduled for soon is taken in time, instead of at the next poll. */
  function wakeFor({ deliverAt }: IncomingWebhook): void {
    if (deliverAt !== null) worker?.wakeIn(Math.max(0, deliverAt.getTime() - Date.now()));
  }

  /** Each of its deliveries takes as long as a webhook of its own. */
  function countFanOut(webhook: IncomingWebhook, answer: Answer): void {
    if (answer !== null && typeof answer === 'object' && !answer.replayed && answer.deliveries > 1)
      isBulk(webhook, answer.deliveries - 1);
  }

  async function acceptBatch(webhooks: Batch): Promise<Answer[]> {
    const answers = await batches.add(webhooks);
    return answers === 'slow' ? await slowBatches.add(webhooks) : answers;
  }

  async function acceptTogether(from: pg.Pool, webhooks: Batch): Promise<Answer[]> {
    // Whatever its types, a large batch is many.
    const bulk = webhooks[0] !== undefined && isBulk(webhooks[0], webhooks.length);
    const how = { bulk, apart: true, allOrNone: true };
    const { answers } = await acceptWebhooks(from, webhooks, how);
    for (const [n, webhook] of webhooks.entries()) {
      countFanOut(webhook, answers[n] ?? null);
      wakeFor(webhook);
    }
    return answers;
  }

  async function explained<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof OutcomeUnknownError) {
        throw new IntakeUnknownError('The database did not answer whether it took the webhook', {
          cause: error,
        });
      }
      if (errorCode(error) === PROGRAM_LIMIT_EXCEEDED) throw new IntakeRefusedError('filters_cost');
      throw new IntakeUnavailableError(
        error instanceof TooManyWaitingError
          ? 'More webhooks arrive than the database can take'
          : 'The database could not take the webhook',
        { cause: error },
      );
    }
  }

  /**
   * Runs a request that has an idempotency key. Two requests of this process with one key never share a group,
   * where they would count as one request; requests in other processes are found by the database.
   */
  const inProgress = new Set<string>();
  async function alone<T>(
    webhook: IncomingWebhook | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    if (webhook === undefined || webhook.idempotency === null) return await work();
    const name = `${webhook.tenant}\n${webhook.idempotency.key}`;
    if (inProgress.has(name)) throw new IntakeRefusedError('in_flight');
    inProgress.add(name);
    try {
      return await work();
    } finally {
      inProgress.delete(name);
    }
  }

  return {
    accept: (webhook) => alone(webhook, async () => accepted(await explained(acceptOne(webhook)))),
    acceptAll: (webhooks) =>
      alone(webhooks[0], async () => (await explained(acceptBatch(webhooks))).map(accepted)),
    pools: { intake: pool, 'intake apart': apartPool, batches: batchPool },
    async stop() {
      await Promise.all([groups.idle(), bulkGroups.idle()]);
      await batches.idle();
      await Promise.all([apartGroups.idle(), slowBatches.idle()]);
      await endSoon(pool.end(), apartPool.end(), batchPool.end());
    },
  };
}

/**
 * Accepts webhooks of several tenants in one statement. If one of the webhooks makes it fail, each tenant's
 * webhooks are accepted in a statement of their own, so that only that tenant gets the error.
 */
async function acceptShared(
  pool: pg.Pool,
  webhooks: IncomingWebhook[],
  bulk: boolean,
  handOver: HandOver | undefined,
): Promise<Answer[]> {
  const free = bulk ? handOver?.whenFree(FINISH_FIRST_MS) : undefined;
  if (free !== undefined) await free;
  // Scheduled webhooks have jobs.
  const atOnce = webhooks.filter(({ deliverAt }) => deliverAt === null);
  const worker = handOver?.reserve(atOnce) ?? undefined;
  try {
    const { answers, handedOver } = await acceptWebhooks(pool, webhooks, {
      bulk,
      apart: false,
      worker,
    });
    worker?.begin(handedOver);
    return answers;
  } catch (error) {
    worker?.cancel(!(error instanceof OutcomeUnknownError));
    const isCausedByWebhooks =
      !(error instanceof OutcomeUnknownError) &&
      (errorCode(error) === QUERY_CANCELED || !isUnavailable(error));
    const { tenant } = webhooks[0] as IncomingWebhook;
    if (!isCausedByWebhooks || webhooks.every((webhook) => webhook.tenant === tenant)) throw error;
    return webhooks.map(() => 'apart');
  }
}

function accepted(answer: Answer): AcceptedWebhook | null {
  if (answer === 'apart') throw new Error('a webhook was to be accepted apart, and was not');
  if (typeof answer === 'string') throw new IntakeRefusedError(answer);
  return answer;
}

/** Returns true if the time that is stored for a tenant is not over. */
function isIn(untils: Map<string, number>, tenant: string): boolean {
  const until = untils.get(tenant);
  if (until === undefined) return false;
  if (until > performance.now()) return true;
  untils.delete(tenant);
  return false;
}

function tenantOf([webhook]: Batch): string {
  return webhook?.tenant ?? '';
}
