import { sql } from 'kysely';
import type { Database } from '../db/types.ts';
import { SKIPPING } from '../deliveries/skip.sql.ts';
import { getSubscription, type Subscription } from './store.ts';

/**
 * Pauses a subscription. A paused subscription keeps its reason unless a new reason is given; a disabled
 * subscription stays disabled.
 *
 * @returns the subscription afterwards, or undefined when the tenant has none with that id.
 */
export async function pauseSubscription(
  db: Database,
  tenant: string,
  id: number,
  reason: string | null | undefined,
): Promise<Subscription | undefined> {
  await db
    .updateTable('posthorn.subscriptions')
    .set({
      status: 'paused',
      status_reason: reason ?? null,
      status_changed_at: sql`case status when 'paused' then status_changed_at else now() end`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .where('status', 'in', reason === undefined ? ['active'] : ['active', 'paused'])
    .execute();
  return await getSubscription(db, tenant, id);
}

/**
 * Makes a paused subscription active.
 *
 * @returns the subscription afterwards, or undefined when the tenant has none with that id.
 */
export async function resumeSubscription(
  db: Database,
  tenant: string,
  id: number,
): Promise<Subscription | undefined> {
  await db
    .updateTable('posthorn.subscriptions')
    .set({
      // A subscription whose backlog is being skipped becomes active when that is done (skip.sql.ts): before,
      // deliveries that are to be cancelled would be sent.
      status: sql`case when skip_until is null then 'active' else status end`,
      status_reason: sql`case when skip_until is null then null else ${SKIPPING} end`,
      status_changed_at: sql`now()`,
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .where('status', '=', 'paused')
    .execute();
  return await getSubscription(db, tenant, id);
}
