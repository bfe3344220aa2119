import { sql } from 'kysely';
import type { Database } from '../db/types.ts';

/** A subscription as people see it: its secret is never among them. */
export interface Subscription {
  readonly id: number;
  readonly url: string;
  readonly created_at: Date;
  readonly has_secret: boolean;
}

const VISIBLE = [
  'id',
  'url',
  'created_at',
  sql<boolean>`secret is not null`.as('has_secret'),
] as const;

/** Stores a subscription. Its URL and secret are expected to have been judged. */
export async function createSubscription(
  db: Database,
  { url, secret }: { url: string; secret?: string | undefined },
): Promise<Subscription> {
  return await db
    .insertInto('posthorn.subscriptions')
    .values({ url, secret: secret ?? null })
    .returning(VISIBLE)
    .executeTakeFirstOrThrow();
}

/** All subscriptions that are not deleted, by id. */
export async function listSubscriptions(db: Database): Promise<Subscription[]> {
  return await db
    .selectFrom('posthorn.subscriptions')
    .select(VISIBLE)
    .where('deleted_at', 'is', null)
    .orderBy('id')
    .execute();
}

/** Changes a subscription's URL, secret or both. Undefined when there is none of that id. */
export async function updateSubscription(
  db: Database,
  id: number,
  change: { url?: string | undefined; secret?: string | undefined },
): Promise<Subscription | undefined> {
  return await db
    .updateTable('posthorn.subscriptions')
    .set({
      ...(change.url === undefined ? {} : { url: change.url }),
      ...(change.secret === undefined ? {} : { secret: change.secret }),
      updated_at: sql`now()`,
    })
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
