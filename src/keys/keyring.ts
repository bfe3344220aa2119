import { timingSafeEqual } from 'node:crypto';
import type pg from 'pg';
import { createNotifiedCache } from '../db/notified-cache.ts';
import type { Session } from '../db/session.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type LoopHealth, watched } from '../lib/loop-health.ts';
import { allowedBy, type Scope } from './scopes.ts';

/** The access that a key gives. */
export interface Access {
  /** The tenant that it is limited to; null: all tenants. */
  readonly tenant: string | null;
  readonly allowed: ReadonlySet<Scope>;
  /** Null for requests without a key, if none is required; `portal` for those of a session in a portal. */
  readonly keyId: number | 'admin' | 'portal' | null;
  /** Returns true for the routes that the access is limited to. Left out: all routes of its scopes. */
  readonly includes?: (method: string, route: string) => boolean;
}

export interface KnownKey extends Access {
  readonly keyId: number;
  readonly expiresAt: Date | null;
  readonly revokedAt: Date | null;
}

export interface Keyring {
  /** Returns the key with that SHA-256, even if revoked or expired, or null. Without a promise if it is cached. */
  find(hash: Buffer): KnownKey | null | Promise<KnownKey | null>;
  /** Records that a key was used now: `last_used_at` is exact to a minute. */
  noteUse(key: KnownKey): void;
}

const NOTE_EVERY_MS = 60_000;
/** The pause after a use that could not be recorded. */
const NOTE_AGAIN_MS = 5_000;
/** Without requests nothing is loaded or recorded, so an old failure says nothing about now. */
const FORGOTTEN_MS = 30_000;

interface CachedKey extends KnownKey {
  readonly hash: Buffer;
  notedAt: number;
}

/**
 * Caches keys by their hashes, and drops a key when it changes: a key that any process revokes is refused
 * within a second.
 *
 * @param session listens for changes; the keyring must be created before the session is started.
 * @param health told whether loading keys and recording their use succeed or fail.
 */
export function createKeyring(pool: pg.Pool, session: Session, health: LoopHealth): Keyring {
  const noteLoop = health.watch('note_key_uses', 'noting when keys were used', FORGOTTEN_MS);
  const cache = createNotifiedCache<CachedKey>({
    session,
    loop: health.watch('load_keys', 'loading keys', FORGOTTEN_MS),
    channel: 'posthorn_keys',
    rememberAbsent: true,
    async load(hashes) {
      const { rows } = await pool.query<KeyRow>({
        name: 'keys-load',
        text: `select id, hash, tenant, scopes, expires_at, revoked_at, last_used_at
          from posthorn.keys
          where hash in (select decode(h, 'hex') from unnest($1::text[]) as h)`,
        values: [hashes],
      });
      return new Map(rows.map((row) => [row.hash.toString('hex'), read(row)]));
    },
  });

  // Uses at the same time share one statement, and no request waits for it.
  const notes = createGroupCommit<number, void>({
    concurrency: 1,
    maxItems: 1000,
    async run(ids) {
      await watched(noteLoop, () =>
        pool.query({
          name: 'keys-used',
          text: `update posthorn.keys set last_used_at = now()
            where id = any($1) and (last_used_at is null or last_used_at < now() - $2 * interval '1 millisecond')`,
          values: [ids, NOTE_EVERY_MS],
        }),
      );
      return ids.map(() => undefined);
    },
  });

  /** Not in constant time after the index lookup, which reveals nothing: clients cannot choose a key's hash. */
  function compared(key: CachedKey | null, hash: Buffer): CachedKey | null {
    return key !== null && timingSafeEqual(key.hash, hash) ? key : null;
  }

  return {
    find(hash) {
      const name = hash.toString('hex');
      const known = cache.peek(name);
      return known === undefined
        ? cache.get(name).then((key) => compared(key, hash))
        : compared(known, hash);
    },
    noteUse(key) {
      const cached = key as CachedKey;
      const now = Date.now();
      if (now - cached.notedAt < NOTE_EVERY_MS) return;
      cached.notedAt = now;
      notes.add(cached.keyId).catch(() => {
        // The loop has the error. The next use tries again.
        cached.notedAt = now - NOTE_EVERY_MS + NOTE_AGAIN_MS;
      });
    },
  };
}

interface KeyRow {
  readonly id: number;
  readonly hash: Buffer;
  readonly tenant: string | null;
  readonly scopes: Scope[];
  readonly expires_at: Date | null;
  readonly revoked_at: Date | null;
  readonly last_used_at: Date | null;
}

function read(row: KeyRow): CachedKey {
  return {
    keyId: row.id,
    hash: row.hash,
    tenant: row.tenant,
    allowed: allowedBy(row.scopes),
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    notedAt: row.last_used_at?.getTime() ?? 0,
  };
}
