import { sql } from 'kysely';
import type { Database } from '../db/types.ts';
import type { PortalSettings } from '../sessions/portal.ts';
import { deleteSubscriptionsOf } from '../subscriptions/store.ts';

/** A tenant as in the API. */
export interface Tenant {
  readonly id: string;
  readonly name: string | null;
  readonly metadata: Record<string, string> | null;
  /** The time for which its payloads and answers are kept; null: the setting applies. */
  readonly retention_ms: number | null;
  /** Who may embed its portal, and how the portal looks; null: the defaults. */
  readonly portal: PortalSettings | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

interface TenantFields {
  readonly name?: string | null | undefined;
  readonly metadata?: Record<string, string> | null | undefined;
  readonly retention_ms?: number | null | undefined;
  readonly portal?: PortalSettings | null | undefined;
}

const VISIBLE = [
  'id',
  'name',
  'metadata',
  'retention_ms',
  'portal',
  'created_at',
  'updated_at',
] as const;

/**
 * Stores a tenant.
 *
 * @returns undefined when its id is taken, even by a deleted tenant.
 */
export async function createTenant(
  db: Database,
  {
    id,
    name = null,
    metadata = null,
    retention_ms = null,
    portal = null,
  }: TenantFields & { readonly id: string },
): Promise<Tenant | undefined> {
  return await db
    .insertInto('posthorn.tenants')
    .values({ id, name, metadata, retention_ms, portal: write(portal) })
    .onConflict((conflict) => conflict.doNothing())
    .returning(VISIBLE)
    .executeTakeFirst();
}

/** Lists tenants that live here and are not deleted, by id, after `after`, at most `limit`. */
export async function listTenants(
  db: Database,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<Tenant[]> {
  let query = db
    .selectFrom('posthorn.tenants')
    .select(VISIBLE)
    .where('deleted_at', 'is', null)
    .where('closed_at', 'is', null)
    .orderBy('id')
    .limit(limit);
  if (after !== undefined) query = query.where('id', '>', after);
  return await query.execute();
}

/** Returns the tenant with this id, or undefined if it does not exist or is deleted. */
export async function getTenant(db: Database, id: string): Promise<Tenant | undefined> {
  return await db
    .selectFrom('posthorn.tenants')
    .select(VISIBLE)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

/** Changes the given fields of a tenant. Returns undefined if there is none with that id. */
export async function updateTenant(
  db: Database,
  id: string,
  { name, metadata, retention_ms, portal }: TenantFields,
): Promise<Tenant | undefined> {
  return await db
    .updateTable('posthorn.tenants')
    .set({
      ...(name === undefined ? {} : { name }),
      ...(metadata === undefined ? {} : { metadata }),
      ...(retention_ms === undefined ? {} : { retention_ms }),
      ...(portal === undefined ? {} : { portal: write(portal) }),
      updated_at: sql`now()`,
    })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning(VISIBLE)
    .executeTakeFirst();
}

const write = (portal: PortalSettings | null) => (portal === null ? null : JSON.stringify(portal));

/** The numbers of things that were deleted, cancelled or revoked with a tenant. */
interface DeletedTenant {
  readonly subscriptions: number;
  /** The task that cancels the deliveries; undefined if there were no subscriptions. */
  readonly task: string | undefined;
  readonly keys: number;
}

/**
 * Deletes a tenant, its subscriptions and event types, cancels its deliveries and revokes its keys, in one
 * transaction. Its history stays, and its id cannot be used again.
 *
 * @returns the numbers deleted with it, or undefined when there is no tenant with that id.
 */
export async function deleteTenant(db: Database, id: string): Promise<DeletedTenant | undefined> {
  return await db.transaction().execute(async (transaction) => {
    // First, because every transaction that adds to a tenant locks its row: nothing new can be added.
    const { numUpdatedRows } = await transaction
      .updateTable('posthorn.tenants')
      .set({ deleted_at: sql`now()`, updated_at: sql`now()` })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (numUpdatedRows === 0n) return undefined;
    const deleted = await deleteSubscriptionsOf(transaction, id);
    const keys = await transaction
      .updateTable('posthorn.keys')
      .set({ revoked_at: sql`now()` })
      .where('tenant', '=', id)
      .where('revoked_at', 'is', null)
      .executeTakeFirst();
    await transaction.deleteFrom('posthorn.event_types').where('tenant', '=', id).execute();
    return { ...deleted, keys: Number(keys.numUpdatedRows) };
  });
}
