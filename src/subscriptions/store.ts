import { sql, type Transaction } from 'kysely';
import type { Database, SubscriptionStatus, Tables } from '../db/types.ts';
import type { Sealer } from '../lib/sealing.ts';
import type { Verification } from '../signing/verify/schemes.ts';
import type { IngestColumns } from './ingest.ts';
import type { Format } from './notices.ts';
import { type Policy, type PolicyColumns, policyOf } from './policy.ts';
import { type GivenSecrets, type SignatureScheme, secretColumns } from './secrets.ts';
import type { SigningColumns } from './signing.ts';

/** A subscription as in the API, without its secrets. */
export interface Subscription extends Policy, SigningColumns, IngestColumns {
  readonly id: number;
  /** Null: its receiver pulls. */
  readonly url: string | null;
  readonly format: Format;
  readonly status: SubscriptionStatus;
  /** Why it is paused or disabled. */
  readonly status_reason: string | null;
  /** Null: all types. Empty: none; it gets only webhooks sent to this subscription alone. */
  readonly event_types: string[] | null;
  readonly channels: string[] | null;
  readonly filter: string | null;
  readonly description: string | null;
  readonly metadata: Record<string, string> | null;
  readonly has_secret: boolean;
  readonly signature_scheme: SignatureScheme;
  /** Until when a replaced secret still signs. */
  readonly secret_overlap_until: Date | null;
  readonly verify: Verification | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** A tenant can have hundreds of thousands, and a statement has only seconds. */
const DELETED_AT_ONCE = 2_000;

/** The fields of a subscription that can be set. They must have been checked. */
export interface SubscriptionFields
  extends Partial<PolicyColumns>,
    Partial<SigningColumns>,
    Partial<IngestColumns>,
    GivenSecrets {
  url: string | null;
  format?: Format;
  event_types?: string[] | null;
  channels?: string[] | null;
  filter?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
}

/** The columns of a subscription, without its secrets. */
export const VISIBLE = [
  'id',
  'url',
  'format',
  'status',
  'status_reason',
  'event_types',
  'channels',
  'filter',
  'description',
  'metadata',
  sql<boolean>`secret is not null`.as('has_secret'),
  'signature_scheme',
  'signature_header',
  'signature_template',
  'signature_content',
  sql<Date | null>`(
    select max((retired ->> 'until')::timestamptz)
    from jsonb_array_elements(retired_secrets) as retired
    where (retired ->> 'until')::timestamptz > now()
  )`.as('secret_overlap_until'),
  sql<Verification | null>`verify`.as('verify'),
  'forward_headers',
  'ingest_content_types',
  'retry_schedule',
  'timeout_ms',
  'headers',
  'max_in_flight',
  'rate_limit',
  'rate_limit_per_ms',
  'ordering',
  'expire_after_ms',
  'created_at',
  'updated_at',
] as const;

/** A row of VISIBLE. */
type Row = Omit<Subscription, keyof Policy> & PolicyColumns;

export function present(stored: Row): Subscription {
  const { timeout_ms, rate_limit, rate_limit_per_ms, expire_after_ms, ...row } = stored;
  return { ...row, ...policyOf(stored) };
}

/**
 * Stores a subscription. Sealed secrets are bound to its id, which exists only after the insert, so a second
 * statement of the transaction stores them.
 */
export async function createSubscription(
  db: Database,
  sealer: Sealer,
  { secret, verify, ...fields }: SubscriptionFields & { readonly tenant: string },
): Promise<Subscription> {
  return await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .insertInto('posthorn.subscriptions')
      .values(withoutUndefined(fields))
      .returning(VISIBLE)
      .executeTakeFirstOrThrow();
    const secrets = secretColumns({ secret, verify }, row.id, sealer);
    if (Object.keys(secrets).length === 0) return present(row);
    return present(
      await transaction
        .updateTable('posthorn.subscriptions')
        .set(secrets)
        .where('id', '=', row.id)
        .returning(VISIBLE)
        .executeTakeFirstOrThrow(),
    );
  });
}

/** Returns the tenant's subscription with this id, or undefined if it does not exist or is deleted. */
export async function getSubscription(
  db: Database,
  tenant: string,
  id: number,
): Promise<Subscription | undefined> {
  const row = await db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('id', '=', id)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return row && present(row);
}

/** Changes the given fields of a subscription. Returns undefined if the tenant has none with that id. */
export async function updateSubscription(
  db: Database,
  sealer: Sealer,
  tenant: string,
  id: number,
  { secret, verify, ...change }: Partial<SubscriptionFields>,
): Promise<Subscription | undefined> {
  const secrets = secretColumns({ secret, verify }, id, sealer);
  const row = await db
    .updateTable('posthorn.subscriptions')
    .set({ ...withoutUndefined(change), ...secrets, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .returning(VISIBLE)
    .executeTakeFirst();
  return row && present(row);
}

/**
 * Deletes a subscription: its pending and held deliveries are cancelled, its secrets are deleted, its history
 * stays. If another transaction accepts a webhook at the same moment, the worker that takes the delivery
 * cancels it.
 *
 * The deliveries may be very many, so a task cancels them, which `cancelDeleted` (bulk-operations/delete.ts)
 * starts at once. Nothing is sent meanwhile: workers see a deletion as soon as it is committed.
 *
 * @returns the id of the task, or undefined when the tenant has no subscription of that id.
 */
export async function deleteSubscription(
  db: Database,
  tenant: string,
  id: number,
): Promise<string | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const { subscriptions, task } = await deleteSubscriptionsOf(transaction, tenant, id);
    return subscriptions === 0 ? undefined : task;
  });
}

/**
 * Deletes a tenant's subscriptions, or the subscription `id`, as `deleteSubscription` does, in the caller's
 * transaction.
 *
 * @returns the number of deleted subscriptions, and the id of the task, if any were deleted.
 */
export async function deleteSubscriptionsOf(
  transaction: Transaction<Tables>,
  tenant: string,
  id?: number,
): Promise<{ readonly subscriptions: number; readonly task: string | undefined }> {
  let subscriptions = 0;
  let last: number | undefined = 0;
  while (last !== undefined) {
    const ids: number[] = await deletePart(transaction, tenant, id, last);
    subscriptions += ids.length;
    last = ids.length < DELETED_AT_ONCE ? undefined : Math.max(...ids);
  }
  if (subscriptions === 0) return { subscriptions, task: undefined };
  const { rows } = await sql<{ id: string }>`
    insert into posthorn.tasks (tenant, kind, subscription_id, since_id, until_id, states)
    values (${tenant}, 'delete', ${id ?? null}, '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff', '{pending,held}')
    returning id`.execute(transaction);
  return { subscriptions, task: rows[0]?.id };
}

/** Deletes the next subscriptions after an id, and returns their ids. */
async function deletePart(
  transaction: Transaction<Tables>,
  tenant: string,
  id: number | undefined,
  after: number,
): Promise<number[]> {
  let next = transaction
    .selectFrom('posthorn.subscriptions')
    .select('id')
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .where('id', '>', after)
    .orderBy('id')
    .limit(DELETED_AT_ONCE);
  if (id !== undefined) next = next.where('id', '=', id);
  const deleted = await transaction
    .updateTable('posthorn.subscriptions')
    .set({ deleted_at: sql`now()`, updated_at: sql`now()`, secret: null })
    .where('id', 'in', next)
    .returning('id')
    .execute();
  return deleted.map((row) => row.id);
}

function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
