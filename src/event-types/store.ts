import { sql } from 'kysely';
import type { Database } from '../db/types.ts';

/** A type of webhooks that a tenant has described. */
export interface EventType {
  readonly name: string;
  readonly description: string | null;
  /** JSON Schema, draft 2020-12, of the data. */
  readonly schema: object | null;
  readonly example: unknown;
  readonly archived: boolean;
  readonly created_at: Date;
  readonly updated_at: Date;
}

/** What of an event type can be set. It is expected to have been judged. */
export interface EventTypeFields {
  description?: string | null | undefined;
  schema?: object | null | undefined;
  /** Undefined stays as it is; null is none. */
  example?: unknown;
  archived?: boolean | undefined;
}

/** What a tenant asks of its event types. */
export interface EventTypeSettings {
  /** Only types that are registered and not archived are taken. */
  readonly strict: boolean;
  /** Data must fit the schema of their type. */
  readonly validate: boolean;
}

/** A tenant has no more. */
export const MAX_EVENT_TYPES = 1000;

/** The tenant has as many event types as it may. */
export class TooManyEventTypesError extends Error {
  override readonly name = 'TooManyEventTypesError';
}

const VISIBLE = [
  'name',
  'description',
  'schema',
  'example',
  sql<boolean>`archived_at is not null`.as('archived'),
  'created_at',
  'updated_at',
] as const;

/** Stores an event type. Undefined when there is one of that name. */
export async function createEventType(
  db: Database,
  tenant: string,
  name: string,
  fields: EventTypeFields,
): Promise<EventType | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .insertInto('posthorn.event_types')
      .values({ tenant, name, ...columns(fields) })
      .onConflict((conflict) => conflict.doNothing())
      .returning(VISIBLE)
      .executeTakeFirst();
    if (row !== undefined) await requireRoom(transaction, tenant);
    return row;
  });
}

/**
 * Stores event types, all or none; those that there are get what is given.
 *
 * @returns the names of those that were not there.
 * @throws TooManyEventTypesError when the tenant would have more than it may.
 */
export async function putEventTypes(
  db: Database,
  tenant: string,
  types: readonly (EventTypeFields & { name: string })[],
): Promise<string[]> {
  return await db.transaction().execute(async (transaction) => {
    const created: string[] = [];
    for (const { name, ...fields } of types) {
      const { inserted } = await transaction
        .insertInto('posthorn.event_types')
        .values({ tenant, name, ...columns(fields) })
        .onConflict((conflict) =>
          conflict
            .columns(['tenant', 'name'])
            .doUpdateSet({ ...columns(fields), updated_at: sql`now()` }),
        )
        .returning(sql<boolean>`xmax = 0`.as('inserted'))
        .executeTakeFirstOrThrow();
      if (inserted) created.push(name);
    }
    await requireRoom(transaction, tenant);
    return created;
  });
}

async function requireRoom(db: Database, tenant: string): Promise<void> {
  const { number } = await db
    .selectFrom('posthorn.event_types')
    .select(sql<number>`count(*)`.as('number'))
    .where('tenant', '=', tenant)
    .executeTakeFirstOrThrow();
  if (number > MAX_EVENT_TYPES)
    throw new TooManyEventTypesError(`A tenant has at most ${MAX_EVENT_TYPES} event types`);
}

/** Event types by name, after `after`, at most `limit`. */
export async function listEventTypes(
  db: Database,
  tenant: string,
  { after, archived, limit }: { after?: string; archived?: boolean | undefined; limit: number },
): Promise<EventType[]> {
  let query = db
    .selectFrom('posthorn.event_types')
    .select(VISIBLE)
    .where('tenant', '=', tenant)
    .orderBy('name')
    .limit(limit);
  if (after !== undefined) query = query.where('name', '>', after);
  if (archived !== undefined) query = query.where('archived_at', archived ? 'is not' : 'is', null);
  return await query.execute();
}

/** The event type of that name, or undefined. */
export async function getEventType(
  db: Database,
  tenant: string,
  name: string,
): Promise<EventType | undefined> {
  return await db
    .selectFrom('posthorn.event_types')
    .select(VISIBLE)
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** Changes what is given of an event type. Undefined when there is none of that name. */
export async function updateEventType(
  db: Database,
  tenant: string,
  name: string,
  change: EventTypeFields,
): Promise<EventType | undefined> {
  return await db
    .updateTable('posthorn.event_types')
    .set({ ...columns(change), updated_at: sql`now()` })
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .returning(VISIBLE)
    .executeTakeFirst();
}

/** Deletes an event type. Returns whether there was one. */
export async function deleteEventType(
  db: Database,
  tenant: string,
  name: string,
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('posthorn.event_types')
    .where('tenant', '=', tenant)
    .where('name', '=', name)
    .executeTakeFirst();
  return numDeletedRows > 0n;
}

const SETTINGS = ['strict_event_types as strict', 'validate_event_types as validate'] as const;

/** What a tenant asks of its event types; nothing, until it does. */
export async function getEventTypeSettings(
  db: Database,
  tenant: string,
): Promise<EventTypeSettings> {
  return await db
    .selectFrom('posthorn.tenants')
    .select(SETTINGS)
    .where('id', '=', tenant)
    .executeTakeFirstOrThrow();
}

/** Changes what is given of that. */
export async function changeEventTypeSettings(
  db: Database,
  tenant: string,
  { strict, validate }: { strict?: boolean | undefined; validate?: boolean | undefined },
): Promise<EventTypeSettings> {
  return await db
    .updateTable('posthorn.tenants')
    .set({
      ...(strict === undefined ? {} : { strict_event_types: strict }),
      ...(validate === undefined ? {} : { validate_event_types: validate }),
      updated_at: sql`now()`,
    })
    .where('id', '=', tenant)
    .returning(SETTINGS)
    .executeTakeFirstOrThrow();
}

function columns({ description, schema, example, archived }: EventTypeFields) {
  return {
    ...(description === undefined ? {} : { description }),
    ...(schema === undefined ? {} : { schema: schema && JSON.stringify(schema) }),
    ...(example === undefined
      ? {}
      : { example: example === null ? null : JSON.stringify(example) }),
    ...(archived === undefined
      ? {}
      : { archived_at: archived ? sql<Date>`coalesce(archived_at, now())` : null }),
  };
}
