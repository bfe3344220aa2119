import { sql } from 'kysely';
import { textArray } from '../db/arrays.ts';
import type { Database } from '../db/types.ts';
import type { CataloguedType } from './catalogue.ts';
import { MAX_EVENT_TYPES, MAX_TOTAL_BYTES } from './limits.ts';
import type { DescribedEventType } from './openapi.ts';

/** An event type that a tenant has registered. */
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

/** The fields of an event type that can be set. They must have been checked. */
interface EventTypeFields {
  description?: string | null | undefined;
  /** A JSON text. */
  schema?: string | null | undefined;
  /** JSON text. Undefined: no change; null: none. */
  example?: string | null | undefined;
  archived?: boolean | undefined;
}

/** A tenant's settings for event types. */
export interface EventTypeSettings {
  /** Only types that are registered and not archived are accepted. */
  readonly strict: boolean;
  /** Data must fit the schema of its type. */
  readonly validate: boolean;
}

/** Event types stored by one statement, which are at most 5 MiB. */
const PUT_AT_ONCE = 50;

/** The tenant would exceed the limit of event types, or of their bytes. */
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

/**
 * Stores an event type. Returns undefined if the name exists already.
 *
 * @throws TooManyEventTypesError when the tenant would exceed its limits.
 */
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
    if (row !== undefined) await requireWithinLimits(transaction, tenant);
    return row;
  });
}

/**
 * Stores event types, all or none. Existing event types get the given fields.
 *
 * @returns the names of the created event types.
 * @throws TooManyEventTypesError when the tenant would exceed its limits.
 */
export async function putEventTypes(
  db: Database,
  tenant: string,
  types: readonly DescribedEventType[],
): Promise<string[]> {
  // Sorted, so that two concurrent imports cannot deadlock.
  const sorted = types.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return await db.transaction().execute(async (transaction) => {
    const created: string[] = [];
    for (let start = 0; start < sorted.length; start += PUT_AT_ONCE) {
      const group = sorted.slice(start, start + PUT_AT_ONCE);
      const column = (name: 'name' | 'description' | 'schema' | 'example') =>
        textArray(group.map((type) => type[name] ?? null));
      const { rows } = await sql<{ name: string; inserted: boolean }>`
        insert into posthorn.event_types as e (tenant, name, description, schema, example)
        select ${tenant}, t.name, t.description, t.schema::json, t.example::json
        from unnest(${column('name')}::text[], ${column('description')}::text[],
          ${column('schema')}::text[], ${column('example')}::text[])
          as t (name, description, schema, example)
        on conflict (tenant, name) do update
          set description = excluded.description, schema = excluded.schema,
            example = excluded.example, updated_at = now()
        returning e.name, xmax = 0 as inserted`.execute(transaction);
      for (const { name, inserted } of rows) if (inserted) created.push(name);
    }
    await requireWithinLimits(transaction, tenant);
    return created;
  });
}

async function requireWithinLimits(db: Database, tenant: string): Promise<void> {
  const { number, bytes } = await db
    .selectFrom('posthorn.event_types')
    .select([
      sql<number>`count(*)`.as('number'),
      sql<number>`coalesce(sum(octet_length(schema::text)), 0)
        + coalesce(sum(octet_length(example::text)), 0)`.as('bytes'),
    ])
    .where('tenant', '=', tenant)
    .executeTakeFirstOrThrow();
  if (number > MAX_EVENT_TYPES)
    throw new TooManyEventTypesError(`A tenant has at most ${MAX_EVENT_TYPES} event types`);
  if (bytes > MAX_TOTAL_BYTES)
    throw new TooManyEventTypesError(
      `The schemas and examples of a tenant have at most ${MAX_TOTAL_BYTES} bytes together`,
    );
}

/** Lists event types by name, after `after`, at most `limit`. */
export async function listEventTypes(
  db: Database,
  tenant: string,
  {
    after,
    archived,
    limit,
  }: { after?: string | undefined; archived?: boolean | undefined; limit: number },
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

/** Returns the event type with that name, or undefined. */
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

/**
 * Changes the given fields of an event type. Returns undefined if the name does not exist.
 *
 * @throws TooManyEventTypesError when the tenant would exceed its limit of bytes.
 */
export async function updateEventType(
  db: Database,
  tenant: string,
  name: string,
  change: EventTypeFields,
): Promise<EventType | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .updateTable('posthorn.event_types')
      .set({ ...columns(change), updated_at: sql`now()` })
      .where('tenant', '=', tenant)
      .where('name', '=', name)
      .returning(VISIBLE)
      .executeTakeFirst();
    const grows = change.schema !== undefined || change.example !== undefined;
    if (row !== undefined && grows) await requireWithinLimits(transaction, tenant);
    return row;
  });
}

/** Deletes an event type. Returns whether it existed. */
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

/**
 * Reads the event types of a tenant that are not archived, by name. Their number and bytes are limited (limits.ts).
 *
 * @param patterns reads only types that one of these matches.
 */
export async function readCatalogue(
  db: Database,
  tenant: string,
  patterns: readonly string[] = ['*'],
): Promise<CataloguedType[]> {
  return await db
    .selectFrom('posthorn.event_types')
    .select(['name', 'description', 'schema', 'example'])
    .where('tenant', '=', tenant)
    .where('archived_at', 'is', null)
    .where(sql<boolean>`posthorn.event_type_patterns(name) && ${textArray(patterns)}::text[]`)
    .orderBy('name')
    .limit(MAX_EVENT_TYPES)
    .execute();
}

const SETTINGS = ['strict_event_types as strict', 'validate_event_types as validate'] as const;

/** Returns a tenant's settings for event types; both are false until they are changed. */
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

/** Changes the given settings. */
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
    ...(schema === undefined ? {} : { schema }),
    ...(example === undefined ? {} : { example }),
    ...(archived === undefined
      ? {}
      : { archived_at: archived ? sql<Date>`coalesce(archived_at, now())` : null }),
  };
}
