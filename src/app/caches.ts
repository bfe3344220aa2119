import type pg from 'pg';
import type { ApiServices } from '../api/services.ts';
import type { Settings } from '../config/settings.ts';
import type { Session } from '../db/session.ts';
import { createEventTypeCache } from '../event-types/cache.ts';
import { createPublicCatalogue } from '../event-types/public-catalogue.ts';
import { createKeyring } from '../keys/keyring.ts';
import type { LoopHealth } from '../lib/loop-health.ts';
import { createSealer } from '../lib/sealing.ts';
import { createSubscriptionCache } from '../subscriptions/cache.ts';
import { createTenantCache } from '../tenants/cache.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';

/** A failure is forgotten after this time: without requests nothing is loaded, so nothing can succeed. */
export const LOADING_FORGOTTEN_MS = 30_000;

/** What a process keeps in memory of the database, and is told of when it changes. */
type Caches = Pick<
  ApiServices,
  'sealer' | 'subscriptions' | 'keyring' | 'tenants' | 'eventTypes' | 'publicCatalogue'
>;

/** @param session over which changes are told. */
export function createCaches(
  { encryptionKeys, publicCatalogue }: Settings,
  pool: pg.Pool,
  session: Session,
  health: LoopHealth,
): Caches {
  const loading = (cached: string) =>
    health.watch(`load_${cached.replaceAll(' ', '_')}`, `loading ${cached}`, LOADING_FORGOTTEN_MS);
  const sealer = createSealer(encryptionKeys);
  return {
    sealer,
    subscriptions: createSubscriptionCache(pool, session, sealer, loading('subscriptions')),
    keyring: createKeyring(pool, session, health),
    tenants: createTenantCache(pool, session, loading('tenants')),
    eventTypes: createEventTypeCache(pool, session, loading('event types')),
    publicCatalogue: createPublicCatalogue({
      pool,
      session,
      loop: loading('public catalogue'),
      tenant: DEFAULT_TENANT,
      patterns: publicCatalogue ?? [],
    }),
  };
}
