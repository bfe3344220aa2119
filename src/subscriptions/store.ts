import { sql, type Transaction } from 'kysely';
import type { Database, SubscriptionStatus, Tables } from '../db/types.ts';
import type { Sealer } from '../lib/sealing.ts';
import type { Verification } from '../signing/verify/schemes.ts';
import type { IngestColumns } from './ingest.ts';
import { type Policy, type PolicyColumns, policyOf } from './policy.ts';
import { type GivenSecrets, type SignatureScheme, secretColumns } from './secrets.ts';
import type { SigningColumns } from './signing.ts';

/** A subscription as in the API, without its secrets. */
export interface Subscription extends Policy, SigningColumns, IngestColumns {
  readonly id: number;
  readonly url: string;
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

/** The fields of a subscription that can be set. They must have been checked. */
export interface SubscriptionFields
  extends Partial<PolicyColumns>,
    Partial<SigningColumns>,
    Partial<IngestColumns>,
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
  'created_at',
  'updated_at',
] as const;

type Row = Omit<Subscription, keyof Policy> & PolicyColumns;

function present({ timeout_ms, rate_limit, rate_limit_per_ms, ...row }: Row): Subscription {
  return { ...row, ...policyOf({ ...row, timeout_ms, rate_limit, rate_limit_per_ms }) };
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

/** The most text chosen by clients on a page, in bytes. A page of 1000 large subscriptions would have 250 MB. */
const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/**
 * Lists a page of a tenant's subscriptions that are not deleted, by id: at least one subscription, at most
 * `limit`, and only the first subscriptions if their text is larger than `maxBytes`.
 *
 * @param after the id that the page before ended with, or 0.
 * @returns the page, and the id after which the next page begins; null: there is no next page.
 */
export async function listSubscriptions(
  db: Database,
  {
    tenant,
    after,
    limit,
    maxBytes = MAX_PAGE_BYTES,
  }: { tenant: string; after: number; limit: number; maxBytes?: number },
): Promise<{ rows: Subscription[]; next: number | null }> {
  const { rows } = await sql<{ last: number | null; more: boolean | null }>`
    select max(id) filter (where fits) as last, bool_or(not fits) as more
    from (
      select id, n = 1 or (n <= ${limit} and bytes <= ${maxBytes}) as fits
      from (
        select id, row_number() over by_id as n, sum(
          coalesce(octet_length(metadata::text), 0) + coalesce(octet_length(headers::text), 0)
          + coalesce(octet_length(filter::text), 0) + coalesce(octet_length(description), 0)
          + coalesce(octet_length(event_types::text), 0) + coalesce(octet_length(channels::text), 0)
          + coalesce(octet_length(forward_headers::text), 0)
          + coalesce(octet_length(ingest_content_types::text), 0)
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
  if (last === null) return { rows: [], next: null };
  const page = await db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .where('id', '>', after)
    .where('id', '<=', last)
    .orderBy('id')
    .execute();
  return { rows: page.map(present), next: more === true ? last : null };
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
