import type pg from 'pg';
import { createNotifiedCache, type NotifiedCache } from '../db/notified-cache.ts';
import type { Session } from '../db/session.ts';
import type { Loop } from '../lib/loop-health.ts';

/** Which tenants there are, in memory. */
export type TenantCache = NotifiedCache<true>;

/**
 * Knows by id which tenants exist and were not deleted. Only who may see all of them asks for those
 * that do not exist, so these are asked for anew each time: a tenant that was made a moment ago is
 * there.
 *
 * @param session listens for changes; it must be given here before it is started.
 * @param loop told how loading goes.
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
