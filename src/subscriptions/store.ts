import { sql } from 'kysely';
import type { Database, SubscriptionStatus } from '../db/types.ts';
import { type Policy, type PolicyColumns, policyOf } from './policy.ts';

/** Whose everything is where nobody says otherwise. */
export const DEFAULT_TENANT = 'default';

/** A subscription as people see it: its secret is never among them. */
export interface Subscription extends Policy {
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
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What of a subscription can be set. It is expected to have been judged. */
export interface SubscriptionFields extends Partial<PolicyColumns> {
  url: string;
  secret?: string | null;
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

/** Stores a subscription. */
export async function createSubscription(
  db: Database,
  fields: SubscriptionFields,
): Promise<Subscription> {
  const row = await db
    .insertInto('posthorn.subscriptions')
    .values(withoutUndefined(fields))
    .returning(VISIBLE)
    .executeTakeFirstOrThrow();
  return present(row);
}

/** Subscriptions that are not deleted, by id, after `after`, at most `limit`. */
export async function listSubscriptions(
  db: Database,
  { after = 0, limit }: { after?: number; limit?: number } = {},
): Promise<Subscription[]> {
  let query = db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('deleted_at', 'is', null)
    .where('id', '>', after)
    .orderBy('id');
  if (limit !== undefined) query = query.limit(limit);
  return (await query.execute()).map(present);
}

/** The subscription of an id, or undefined when there is none or it was deleted. */
export async function getSubscription(db: Database, id: number): Promise<Subscription | undefined> {
  const row = await db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  return row && present(row);
}

/** Changes what is given of a subscription. Undefined when there is none of that id. */
export async function updateSubscription(
  db: Database,
  id: number,
  change: Partial<SubscriptionFields>,
): Promise<Subscription | undefined> {
  const row = await db
    .updateTable('posthorn.subscriptions')
    .set({ ...withoutUndefined(change), updated_at: sql`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning(VISIBLE)
    .executeTakeFirst();
  return row && present(row);
}

/**
 * Deletes a subscription: what is owed to it is cancelled, its secret is forgotten, its history
 * stays. A webhook accepted at this very moment by another transaction is cancelled by the worker
 * that is woken for it.
 *
 * @returns how many deliveries were cancelled, or undefined when there is no subscription of that id.
 */
export async function deleteSubscription(db: Database, id: number): Promise<number | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const deleted = await transaction
      .updateTable('posthorn.subscriptions')
      .set({ deleted_at: sql`now()`, updated_at: sql`now()`, secret: null })
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (deleted.numUpdatedRows === 0n) return undefined;
    const cancelled = await transaction
      .updateTable('posthorn.deliveries')
      .set({ state: 'cancelled', ended_at: sql`now()`, next_attempt_at: null })
      .where('subscription_id', '=', id)
      .where('state', 'in', ['pending', 'held'])
      .executeTakeFirst();
    return Number(cancelled.numUpdatedRows);
  });
}

function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
