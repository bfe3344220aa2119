import type pg from 'pg';
import { createNotifiedCache, type NotifiedCache } from '../db/notified-cache.ts';
import type { Session } from '../db/session.ts';
import type { Loop } from '../lib/loop-health.ts';

/** The tenants that exist, cached in memory. */
export type TenantCache = NotifiedCache<true>;

/**
 * Caches which tenants exist and are not deleted. Absent tenants are not cached, so that a new tenant is found
 * at once; only requests with access to all tenants can ask for tenants that do not exist.
 *
 * @param session listens for changes; the cache must be created before the session is started.
 * @param loop told whether loading succeeds or fails.
 */
export function createTenantCache(pool: pg.Pool, session: Session, loop: Loop): TenantCache {
  return createNotifiedCache({
    session,
    loop,
    channel: 'posthorn_tenants',
    rememberAbsent: false,
    async load(ids) {
      const { rows } = await pool.query<{ id: string }>({
        name: 'tenants-load',
        text: 'select id from posthorn.tenants where id = any($1) and deleted_at is null',
        values: [ids],
      });
      return new Map(rows.map(({ id }) => [id, true as const]));
    },
  });
}
