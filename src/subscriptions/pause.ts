import { sql } from 'kysely';
import type { Database } from '../db/types.ts';
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
  await sql`
    select posthorn.set_paused(id, true, ${reason ?? null}, ${reason !== undefined})
    from posthorn.subscriptions
    where id = ${id} and tenant = ${tenant} and deleted_at is null`.execute(db);
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
  await sql`
    select posthorn.set_paused(id, false)
    from posthorn.subscriptions
    where id = ${id} and tenant = ${tenant} and deleted_at is null`.execute(db);
  return await getSubscription(db, tenant, id);
}
