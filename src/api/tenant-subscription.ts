import type pg from 'pg';
import { notFound } from './problems.ts';

/**
 * Checks that a subscription belongs to the tenant and is not deleted.
 *
 * @throws Problem (404).
 */
export async function tenantSubscription(pool: pg.Pool, tenant: string, id: number): Promise<void> {
  const { rowCount } = await pool.query({
    name: 'tenant-subscription',
    text: 'select from posthorn.subscriptions where id = $1 and tenant = $2 and deleted_at is null',
    values: [id, tenant],
  });
  if (rowCount !== 1) throw notFound('subscription', id);
}
