import type pg from 'pg';
import type { Logger } from 'pino';
import { cancelDeleted } from '../bulk-operations/delete.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic, type Periodic } from '../lib/periodic.ts';

const EVERY_MS = 60_000;
/** Subscriptions that are deleted in a run. Those of a busy service come with the next. */
const MAX_DELETED = 100;

interface TemporaryKeeperOptions {
  readonly pool: pg.Pool;
  readonly loop: Loop;
  readonly log: Logger;
}

/**
 * Deletes subscriptions with `expire_after` that nobody has pulled for that time, as by a request: a receiver that was
 * killed, such as `posthorn listen`, leaves no subscription behind. One with a lease stays: its receiver may be at work.
 */
export function createTemporaryKeeper({ pool, loop, log }: TemporaryKeeperOptions): Periodic {
  async function run(goesOn: () => boolean): Promise<void> {
    const unpulled = await findUnpulled(pool);
    if (unpulled.length === 0) return;
    // Seldom needed, and a third of the modules that a worker would load.
    const [{ createDatabase }, { deleteSubscription }] = await Promise.all([
      import('../db/types.ts'),
      import('../subscriptions/store.ts'),
    ]);
    const db = createDatabase(pool);
    for (const { id, tenant } of unpulled) {
      if (!goesOn()) return;
      const task = await deleteSubscription(db, tenant, id);
      if (task === undefined) continue;
      log.info({ subscriptionId: id }, 'deleted a subscription that nobody pulls any more');
      await cancelDeleted(pool, task);
    }
  }

  return createPeriodic({ everyMs: EVERY_MS, run, loop });
}

async function findUnpulled(pool: pg.Pool): Promise<{ id: number; tenant: string }[]> {
  const { rows } = await pool.query<{ id: number; tenant: string }>({
    name: 'find-unpulled',
    text: `
      select s.id, s.tenant
      from posthorn.subscriptions s
      left join posthorn.backlogs b on b.subscription_id = s.id
      where s.expire_after_ms is not null and s.deleted_at is null
        and greatest(b.pulled_at, s.created_at) < now() - s.expire_after_ms * interval '1 millisecond'
        -- While a tenant moves, the fence refuses the deletion, and nobody can pull.
        and not exists (select from posthorn.tenants t where t.id = s.tenant and t.closed_at is not null)
        and not exists (select from posthorn.leases l where l.subscription_id = s.id and l.ends_at > now())
      limit ${MAX_DELETED}`,
  });
  return rows;
}
