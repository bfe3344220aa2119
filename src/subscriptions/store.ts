import { sql, type Transaction } from 'kysely';
import type { Database, SubscriptionStatus, Tables } from '../db/types.ts';
import type { Sealer } from '../lib/sealing.ts';
import type { Verification } from '../signing/verify/schemes.ts';
import { type Policy, type PolicyColumns, policyOf } from './policy.ts';
import { type GivenSecrets, type SignatureScheme, secretColumns } from './secrets.ts';
import type { SigningColumns } from './signing.ts';

/** A subscription as people see it: its secrets are never among them. */
export interface Subscription extends Policy, SigningColumns {
  readonly id: number;
  readonly url: string;
  readonly status: SubscriptionStatus;
  /** Why it is paused or disabled. */
  readonly status_reason: string | null;
  /** Null: all types. Empty: none, only what is handed in for this subscription. */
  readonly event_types: string[] | null;
  readonly channels: string[] | null;
  readonly filter: string | null;
  readonly description: string | null;
  readonly metadata: Record<string, string> | null;
  readonly has_secret: boolean;
  readonly signature_scheme: SignatureScheme;
  /** Until when a secret that was replaced still signs. */
  readonly secret_overlap_until: Date | null;
  readonly verify: Verification | null;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What of a subscription can be set. It is expected to have been judged. */
export interface SubscriptionFields
  extends Partial<PolicyColumns>,
    Partial<SigningColumns>,
    GivenSecrets {
  url: string;
  event_types?: string[] | null;
  channels?: string[] | null;
  filter?: string | null;
  description?: string | null;
  metadata?: Record<string, string> | null;
}

const VISIBLE = [
  'id',
  'url',
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
    select max((one ->> 'until')::timestamptz)
    from jsonb_array_elements(retired_secrets) as one
    where (one ->> 'until')::timestamptz > now()
  )`.as('secret_overlap_until'),
  sql<Verification | null>`verify`.as('verify'),
  'retry_schedule',
  'timeout_ms',
  'headers',
  'max_in_flight',
  'rate_limit',
  'rate_limit_per_ms',
  'ordering',
  'created_at',
  'updated_at',
] as const;

type Row = Omit<Subscription, keyof Policy> & PolicyColumns;

function present({ timeout_ms, rate_limit, rate_limit_per_ms, ...row }: Row): Subscription {
  return { ...row, ...policyOf({ ...row, timeout_ms, rate_limit, rate_limit_per_ms }) };
}

/**
 * Stores a subscription. What seals its secrets is bound to its id, which the row has first; so they
 * come by a second statement of one transaction.
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

/** What the subscriptions on a page may hold in text that their owners chose, in bytes. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** All subscriptions of a tenant that are not deleted, by id. */
export async function listAllSubscriptions(db: Database, tenant: string): Promise<Subscription[]> {
  return (await selectOf(db, tenant).execute()).map(present);
}

/**
 * A page of a tenant's subscriptions that are not deleted, by id: at least one, at most `limit`, and no more
 * than a page should hold. A page of a thousand large ones would be an answer of 250 MB.
 *
 * @param after the id that the page before ended with, or 0.
 */
export async function listSubscriptions(
  db: Database,
  { tenant, after, limit }: { tenant: string; after: number; limit: number },
): Promise<{ subscriptions: Subscription[]; more: boolean }> {
  const { rows } = await sql<{ last: number | null; more: boolean | null }>`
    select max(id) filter (where fits) as last, bool_or(not fits) as more
    from (
      select id, n = 1 or (n <= ${limit} and bytes <= ${MAX_PAGE_BYTES}) as fits
      from (
        select id, row_number() over by_id as n, sum(
          coalesce(octet_length(metadata::text), 0) + coalesce(octet_length(headers::text), 0)
          + coalesce(octet_length(filter::text), 0) + coalesce(octet_length(description), 0)
          + coalesce(octet_length(event_types::text), 0) + coalesce(octet_length(channels::text), 0)
        ) over by_id as bytes
        from (
          select * from posthorn.subscriptions
          where tenant = ${tenant} and deleted_at is null and id > ${after}
          order by id
          limit ${limit + 1}
        ) as read
        window by_id as (order by id)
      ) as sized
    ) as judged`.execute(db);
  const { last = null, more = null } = rows[0] ?? {};
  if (last === null) return { subscriptions: [], more: false };
  const page = selectOf(db, tenant).where('id', '>', after).where('id', '<=', last);
  return { subscriptions: (await page.execute()).map(present), more: more === true };
}

function selectOf(db: Database, tenant: string) {
  return db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .orderBy('id');
}

/** The tenant's subscription of an id, or undefined when there is none or it was deleted. */
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

/** Changes what is given of a subscription. Undefined when the tenant has none of that id. */
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
 * Deletes a subscription: what is owed to it is cancelled, its secrets are forgotten, its history
 * stays. A webhook accepted at this very moment by another transaction is cancelled by the worker
 * that is woken for it.
 *
 * What is owed may be very much, so it is cancelled by a task, which `cancelDeleted` (bulk-operations/delete.ts)
 * begins at once. Nothing is sent meanwhile: workers know of a deletion as soon as it is committed.
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
 * Deletes a tenant's subscriptions, or one of them, as `deleteSubscription` does, in a transaction of
 * the caller's.
 *
 * @returns how many there were, and the id of the task, which is there only if there were any.
 */
export async function deleteSubscriptionsOf(
  transaction: Transaction<Tables>,
  tenant: string,
  id?: number,
): Promise<{ readonly subscriptions: number; readonly task: string | undefined }> {
  let query = transaction
    .updateTable('posthorn.subscriptions')
    .set({ deleted_at: sql`now()`, updated_at: sql`now()`, secret: null })
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null);
  if (id !== undefined) query = query.where('id', '=', id);
  const deleted = await query.executeTakeFirst();
  const subscriptions = Number(deleted.numUpdatedRows);
  if (subscriptions === 0) return { subscriptions, task: undefined };
  const { rows } = await sql<{ id: string }>`
    insert into posthorn.tasks (tenant, kind, subscription_id, since_id, until_id, states)
    values (${tenant}, 'delete', ${id ?? null}, '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff', '{pending,held}')
    returning id`.execute(transaction);
  return { subscriptions, task: rows[0]?.id };
}

function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
