import type pg from 'pg';
import { createNotifiedCache, type NotifiedCache } from '../db/notified-cache.ts';
import type { Session } from '../db/session.ts';
import type { Loop } from '../lib/loop-health.ts';

/** The rules of a tenant with settings for event types. */
interface EventTypeRules {
  readonly strict: boolean;
  readonly validate: boolean;
  readonly types: ReadonlyMap<string, CachedEventType>;
}

interface CachedEventType {
  readonly archived: boolean;
  /** The schema as JSON text; null if there is none, or the tenant does not validate. */
  readonly schema: string | null;
}

/** The tenants' rules for event types, cached in memory. Null for most tenants, which have no rules. */
export type EventTypeCache = NotifiedCache<EventTypeRules>;

interface Row {
  readonly tenant: string;
  readonly strict: boolean;
  readonly validate: boolean;
  /** Null if the tenant has no event types. */
  readonly name: string | null;
  readonly archived: boolean;
  readonly schema: string | null;
}

/**
 * Caches the tenants' rules for event types, and drops a tenant's rules when any process changes them.
 *
 * @param session listens for changes; the cache must be created before the session is started.
 * @param loop told whether loading succeeds or fails.
 */
export function createEventTypeCache(pool: pg.Pool, session: Session, loop: Loop): EventTypeCache {
  return createNotifiedCache({
    session,
    loop,
    channel: 'posthorn_event_types',
    rememberAbsent: true,
    async load(tenants) {
      const { rows } = await pool.query<Row>({
        name: 'event-types-load',
        text: `
          select t.id as tenant, t.strict_event_types as strict, t.validate_event_types as validate,
            e.name, e.archived_at is not null as archived,
            case when t.validate_event_types then e.schema::text end as schema
          from posthorn.tenants t
          left join posthorn.event_types e on e.tenant = t.id
          where t.id = any($1) and (t.strict_event_types or t.validate_event_types)`,
        values: [tenants],
      });
      return rulesByTenant(rows);
    },
  });
}

function rulesByTenant(rows: readonly Row[]): Map<string, EventTypeRules> {
  const rules = new Map<string, EventTypeRules & { types: Map<string, CachedEventType> }>();
  for (const { tenant, strict, validate, name, archived, schema } of rows) {
    const own = rules.get(tenant) ?? { strict, validate, types: new Map() };
    rules.set(tenant, own);
    if (name !== null) own.types.set(name, { archived, schema });
  }
  return rules;
}
