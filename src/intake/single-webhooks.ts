import type pg from 'pg';
import { isUnavailable } from '../db/availability.ts';
import { OutcomeUnknownError } from '../db/unknown-outcome.ts';
import { createGroupCommit, type GroupCommit } from '../lib/group-commit.ts';
import { type Answer, acceptWebhooks, type IncomingWebhook } from './accept.sql.ts';
import { closedTenant, tookTooLong } from './errors.ts';
import { createMarkedTenants } from './marked-tenants.ts';
import type { HandOver } from './nearby-worker.ts';

/** A second group runs only while the first takes long: a group that waits for a lock must not delay the others. */
export const SHARED_CONNECTIONS = 2;
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
const MAX_WAITING_APART_BYTES = 32 * 1024 * 1024;
/** For this long, webhooks of a tenant that took too long for a shared statement are accepted apart. */
const APART_FOR_MS = 10_000;
/**
 * Webhooks of a bulk sender are accepted when those before them are sent, or after this time. Without it, all
 * would be accepted first, and each would wait for all before it: with ten subscriptions, 1.5 s at full load.
 */
const FINISH_FIRST_MS = 250;

/** The options of `createSingleWebhooks`. */
export interface SingleWebhooksOptions {
  /** For statements that tenants share; at most `SHARED_CONNECTIONS` are used. */
  readonly pool: pg.Pool;
  /** For statements of a single tenant. */
  readonly apartPool: pg.Pool;
  readonly handOver: HandOver | undefined;
  /** Called with the number of webhooks of each shared statement, for metrics. */
  readonly onGroup: (webhooks: number) => void;
}

/** Accepts webhooks that come one by one. */
export interface SingleWebhooks {
  /** @param bulk whether its sender sends so many that the webhooks of others go first. */
  accept(webhook: IncomingWebhook, bulk: boolean): Promise<Answer>;
  /** Resolves once no webhook waits. */
  idle(): Promise<void>;
}

/**
 * Commits webhooks that arrive together in one statement, whatever their tenants, as long as that is quick. A
 * webhook that takes too long, by its fan-out or its filters, is accepted in a statement that delays only its
 * own tenant.
 */
export function createSingleWebhooks({
  pool,
  apartPool,
  handOver,
  onGroup,
}: SingleWebhooksOptions): SingleWebhooks {
  const common = {
    maxItems: MAX_GROUP,
    weigh: ({ body }: IncomingWebhook) => body.length,
    maxWeight: MAX_GROUP_BYTES,
    ownerOf: ({ tenant }: IncomingWebhook) => tenant,
    maxWaiting: MAX_WAITING,
  };
  const createShared = (bulk: boolean): GroupCommit<IncomingWebhook, Answer> =>
    createGroupCommit({
      ...common,
      concurrency: SHARED_CONNECTIONS,
      besideMs: BESIDE_MS,
      maxWaitingWeight: MAX_WAITING_BYTES,
      run: (webhooks) => {
        onGroup(webhooks.length);
        return acceptShared(pool, webhooks, bulk, handOver);
      },
    });
  // Webhooks of a bulk sender wait for each other, and webhooks of other senders do not wait for them.
  const shared = createShared(false);
  const sharedBulk = createShared(true);
  const apart = createGroupCommit<IncomingWebhook, Answer>({
    ...common,
    concurrency: 1,
    apart: true,
    maxWaitingWeight: MAX_WAITING_APART_BYTES,
    // Bulk, because their deliveries are so many that those of others go first.
    run: async (webhooks) =>
      (await acceptWebhooks(apartPool, webhooks, { bulk: true, apart: true })).answers,
  });
  /** Their webhooks by event type use no shared statement. */
  const slowTenants = createMarkedTenants(APART_FOR_MS);

  return {
    async accept(webhook, bulk) {
      const { tenant, subscriptionId } = webhook;
      let answer: Answer = 'apart';
      if (subscriptionId !== null || !slowTenants.has(tenant)) {
        answer = await (bulk ? sharedBulk : shared).add(webhook);
        if (answer === 'apart') slowTenants.mark(tenant);
      }
      while (answer === 'apart') answer = await apart.add(webhook);
      return answer;
    },
    async idle() {
      await Promise.all([shared.idle(), sharedBulk.idle()]);
      await apart.idle();
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
  const worker = handOver?.reserve(atOnce, bulk) ?? undefined;
  try {
    const { answers, handedOver } = await acceptWebhooks(pool, webhooks, {
      bulk,
      apart: false,
      worker,
    });
    worker?.begin(handedOver);
    return answers;
  } catch (error) {
    const isKnown = !(error instanceof OutcomeUnknownError);
    worker?.cancel(isKnown);
    const closed = closedTenant(error);
    if (closed !== undefined) return await withoutTenant(pool, webhooks, bulk, handOver, closed);
    const isCausedByWebhooks = tookTooLong(error) || (isKnown && !isUnavailable(error));
    const { tenant } = webhooks[0] as IncomingWebhook;
    if (!isCausedByWebhooks || webhooks.every((webhook) => webhook.tenant === tenant)) throw error;
    return webhooks.map(() => 'apart');
  }
}

/** Accepts the webhooks of all other tenants, and refuses those of a tenant that is closed. */
async function withoutTenant(
  pool: pg.Pool,
  webhooks: readonly IncomingWebhook[],
  bulk: boolean,
  handOver: HandOver | undefined,
  closed: string,
): Promise<Answer[]> {
  const others = webhooks.filter(({ tenant }) => tenant !== closed);
  const answers = others.length > 0 ? await acceptShared(pool, others, bulk, handOver) : [];
  return webhooks.map(({ tenant }) => (tenant === closed ? 'closed' : (answers.shift() ?? null)));
}
