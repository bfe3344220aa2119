import { sql } from 'kysely';
import type { Database } from '../db/types.ts';

/** Whose everything is where nobody says otherwise. */
export const DEFAULT_TENANT = 'default';

/** A subscription as people see it: its secret is never among them. */
export interface Subscription {
  readonly id: number;
  readonly url: string;
  /** Null: all types. Empty: none, only what is handed in for this subscription. */
  readonly event_types: string[] | null;
  readonly description: string | null;
  readonly has_secret: boolean;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What of a subscription can be set. Its URL, secret and types are expected to have been judged. */
export interface SubscriptionFields {
  readonly url: string;
  readonly secret?: string | null | undefined;
  readonly event_types?: string[] | null | undefined;
  readonly description?: string | null | undefined;
}

const VISIBLE = [
  'id',
  'url',
  'event_types',
  'description',
  sql<boolean>`secret is not null`.as('has_secret'),
  'created_at',
  'updated_at',
] as const;

/** Stores a subscription. */
export async function createSubscription(
  db: Database,
  { url, secret = null, event_types = null, description = null }: SubscriptionFields,
): Promise<Subscription> {
  return await db
    .insertInto('posthorn.subscriptions')
    .values({ url, secret, event_types, description })
    .returning(VISIBLE)
    .executeTakeFirstOrThrow();
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
  return await query.execute();
}

/** The subscription of an id, or undefined when there is none or it was deleted. */
export async function getSubscription(db: Database, id: number): Promise<Subscription | undefined> {
  return await db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
}

/** Changes what is given of a subscription. Undefined when there is none of that id. */
export async function updateSubscription(
  db: Database,
  id: number,
  change: Partial<SubscriptionFields>,
): Promise<Subscription | undefined> {
  const given = Object.entries(change).filter(([, value]) => value !== undefined);
  return await db
    .updateTable('posthorn.subscriptions')
    .set({ ...Object.fromEntries(given), updated_at: sql`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .returning(VISIBLE)
    .executeTakeFirst();
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
