import { sql } from 'kysely';
import type { Database } from '../db/types.ts';
import { type Environment, generateKey, hashKey, keyHint } from './format.ts';
import type { Scope } from './scopes.ts';

/** A key as in the API, without its secret text. */
export interface Key {
  readonly id: number;
  /** Null: for all tenants. */
  readonly tenant: string | null;
  readonly name: string | null;
  readonly environment: Environment;
  readonly scopes: Scope[];
  /** The first characters of the key. */
  readonly hint: string;
  readonly created_at: Date;
  readonly expires_at: Date | null;
  readonly last_used_at: Date | null;
  readonly revoked_at: Date | null;
}

interface KeyFields {
  /** Null if and only if the scopes contain `admin`. */
  readonly tenant: string | null;
  readonly name: string | null;
  readonly environment: Environment;
  readonly scopes: readonly Scope[];
  readonly expiresAt: Date | null;
}

const VISIBLE = [
  'id',
  'tenant',
  'name',
  'environment',
  'scopes',
  'hint',
  'created_at',
  'expires_at',
  'last_used_at',
  'revoked_at',
] as const;

/**
 * Creates a key.
 *
 * @param beforeCommit called with the SHA-256 of the key; if it throws, there is no key.
 * @returns the stored key with its secret text, which cannot be read again; undefined when the tenant does
 *   not exist.
 */
export async function createKey(
  db: Database,
  { tenant, name, environment, scopes, expiresAt }: KeyFields,
  beforeCommit?: (hash: Buffer) => Promise<void>,
): Promise<(Key & { readonly key: string }) | undefined> {
  const key = generateKey(environment);
  return await db.transaction().execute(async (transaction) => {
    if (tenant !== null) {
      // Locked until the commit, so that a tenant that is being deleted gets no new keys.
      const row = await transaction
        .selectFrom('posthorn.tenants')
        .select('id')
        .where('id', '=', tenant)
        .where('deleted_at', 'is', null)
        .forShare()
        .executeTakeFirst();
      if (row === undefined) return undefined;
    }
    const made = await transaction
      .insertInto('posthorn.keys')
      .values({
        tenant,
        name,
        environment,
        scopes: [...scopes],
        hash: hashKey(key),
        hint: keyHint(key),
        expires_at: expiresAt,
      })
      .returning(VISIBLE)
      .executeTakeFirstOrThrow();
    await beforeCommit?.(hashKey(key));
    return { ...made, key };
  });
}

/** Lists keys that are not revoked, by id, after `after`, at most `limit`; of one tenant if it is given. */
export async function listKeys(
  db: Database,
  { tenant, after, limit }: { tenant?: string | undefined; after: number; limit: number },
): Promise<Key[]> {
  let query = db
    .selectFrom('posthorn.keys')
    .select(VISIBLE)
    .where('revoked_at', 'is', null)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit);
  if (tenant !== undefined) query = query.where('tenant', '=', tenant);
  return await query.execute();
}

/** Revokes a key. Returns undefined if no key with that id exists or it is already revoked. */
export async function revokeKey(db: Database, id: number): Promise<Key | undefined> {
  return await db
    .updateTable('posthorn.keys')
    .set({ revoked_at: sql`now()` })
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .returning(VISIBLE)
    .executeTakeFirst();
}
