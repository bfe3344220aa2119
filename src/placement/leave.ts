import type pg from 'pg';
import { whileClosed } from './mover.ts';

/** Why the deliveries ended that a tenant left in a database. */
const MOVED = 'moved';
const BATCH = 1_000;

/**
 * Ends what a tenant has in a database that it has left, or that it did not move to after all: cancels its unfinished
 * deliveries (`moved`), deletes its subscriptions, event types and keys. Its history goes with the retention there. It
 * stays closed.
 *
 * @throws OperatorError if the tenant is open there.
 */
export async function leave(pool: pg.Pool, tenant: string): Promise<void> {
  // Paused until here, so none of them was sent.
  while ((await cancelSome(pool, tenant)) > 0);
  await whileClosed(pool, tenant, async (client) => {
    await client.query(
      `update posthorn.subscriptions
       set deleted_at = now(), updated_at = now(), secret = null, retired_secrets = null, verify = null, verify_secret = null
       where tenant = $1 and deleted_at is null`,
      [tenant],
    );
    await client.query(
      `delete from posthorn.sessions where portal_tenant = $1
         or key_id in (select id from posthorn.keys where tenant = $1)`,
      [tenant],
    );
    for (const table of ['event_types', 'keys', 'idempotency_keys', 'tasks', 'notices'])
      await client.query(`delete from posthorn.${table} where tenant = $1`, [tenant]);
  });
}

async function cancelSome(pool: pg.Pool, tenant: string): Promise<number> {
  return await whileClosed(pool, tenant, async (client) => {
    const { rows } = await client.query<{ cancelled: number }>(
      `select posthorn.cancel_deliveries(array_agg(webhook_id), array_agg(subscription_id), $2) as cancelled
       from (
         select d.webhook_id, d.subscription_id
         from posthorn.subscriptions s
         cross join lateral (
           select webhook_id, subscription_id from posthorn.deliveries
           where subscription_id = s.id and state in ('pending', 'held')
           limit ${BATCH}
         ) as d
         where s.tenant = $1
         limit ${BATCH}
       ) as few`,
      [tenant, MOVED],
    );
    return rows[0]?.cancelled ?? 0;
  });
}
