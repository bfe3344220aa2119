import type pg from 'pg';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type Answer, acceptWebhooks, type IncomingWebhook } from './accept.sql.ts';
import { tookTooLong } from './errors.ts';
import { createMarkedTenants } from './marked-tenants.ts';

/** Batches of other tenants wait for a batch. A thousand ordinary webhooks take a twentieth of this time. */
export const BATCH_TIMEOUT_MS = 2_500;
const MAX_WAITING = 50;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** For this long, batches of a tenant whose batch took too long use the connection for slow batches. */
const SLOW_FOR_MS = 60_000;

/** Webhooks that are accepted together, all or none. They are one tenant's. */
export type Batch = readonly IncomingWebhook[];

/** Accepts batches, one after the other. */
export interface Batches {
  /** @param bulk whether its sender sends so many that the webhooks of others go first. */
  accept(webhooks: Batch, bulk: boolean): Promise<Answer[]>;
  /** Resolves once no batch waits. */
  idle(): Promise<void>;
}

interface Waiting {
  readonly webhooks: Batch;
  readonly bulk: boolean;
}

/**
 * Creates the queues of batches. A batch that takes too long is cancelled in the first queue and repeated in the
 * second, where batches of tenants with much fan-out wait for each other.
 *
 * @param pool whose statements end after `BATCH_TIMEOUT_MS`.
 * @param slowPool for the second queue, whose statements may take longer.
 */
export function createBatches(pool: pg.Pool, slowPool: pg.Pool): Batches {
  const inTurns = {
    concurrency: 1,
    maxItems: 1,
    weigh: ({ webhooks }: Waiting) => webhooks.reduce((bytes, { body }) => bytes + body.length, 0),
    ownerOf: tenantOf,
    maxWaiting: MAX_WAITING,
    maxWaitingWeight: MAX_WAITING_BYTES,
  };
  const slowTenants = createMarkedTenants(SLOW_FOR_MS);
  const first = createGroupCommit<Waiting, Answer[] | 'slow'>({
    ...inTurns,
    run: async ([batch]) => {
      const tenant = tenantOf(batch as Waiting);
      if (slowTenants.has(tenant)) return ['slow'];
      try {
        return [await acceptTogether(pool, batch as Waiting)];
      } catch (error) {
        if (!tookTooLong(error)) throw error;
        slowTenants.mark(tenant);
        return ['slow'];
      }
    },
  });
  const second = createGroupCommit<Waiting, Answer[]>({
    ...inTurns,
    run: async ([batch]) => [await acceptTogether(slowPool, batch as Waiting)],
  });
  return {
    async accept(webhooks, bulk) {
      const answers = await first.add({ webhooks, bulk });
      return answers === 'slow' ? await second.add({ webhooks, bulk }) : answers;
    },
    async idle() {
      await first.idle();
      await second.idle();
    },
  };
}

async function acceptTogether(pool: pg.Pool, { webhooks, bulk }: Waiting): Promise<Answer[]> {
  const how = { bulk, apart: true, allOrNone: true };
  return (await acceptWebhooks(pool, webhooks, how)).answers;
}

function tenantOf({ webhooks: [webhook] }: Waiting): string {
  return webhook?.tenant ?? '';
}
