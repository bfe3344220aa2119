import type pg from 'pg';
import type { Session } from '../db/session.ts';
import type { SubscriptionOrdering, SubscriptionStatus } from '../db/types.ts';
import { parseRetrySchedule, type RetrySchedule } from '../delivery/backoff.ts';
import { createSigningKey, type SigningKey } from '../delivery/sign.ts';
import { errorMessage } from '../lib/errors.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import type { PolicyColumns } from './policy.ts';

/** What intake and delivery need to know of a subscription. */
export interface CachedSubscription {
  readonly id: number;
  readonly url: URL;
  /** Null for a subscription without a secret. */
  readonly key: SigningKey | null;
  readonly status: SubscriptionStatus;
  readonly circuitOpen: boolean;
  /** Its deliveries are held from the start; the owner of its backlog sends them. */
  readonly throughBacklog: boolean;
  /** What of its policy differs from the settings; null where it does not. */
  readonly schedule: RetrySchedule | null;
  readonly timeoutMs: number | null;
  /** Custom headers: name, value, name, value. */
  readonly headers: readonly string[];
  readonly maxInFlight: number | null;
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
  readonly ordering: SubscriptionOrdering;
  /** Why nothing can be sent to it, or null. Only rows written past the API can have such. */
  readonly problem: string | null;
}

export interface SubscriptionCache {
  /** The subscription, or null when there is none or it was deleted. */
  get(id: number): Promise<CachedSubscription | null>;
  /** The same where it is known already, and otherwise undefined: for the hot path, without a promise. */
  peek(id: number): CachedSubscription | null | undefined;
}

interface Entry {
  readonly value: CachedSubscription | null;
  readonly freshUntil: number;
}

/** A change is notified, so this bounds only what a lost notification could do. */
const FRESH_MS = 60_000;
/** While notifications do not arrive, a change must still take effect within a second. */
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
/** Ids that do not exist cost a query each; somebody who guesses ids must not cost one a guess. */
const MAX_ENTRIES = 50_000;

/**
 * Subscriptions by id, kept in memory and dropped when they change, by whichever process.
 *
 * @param session listens for changes; it must be given here before it is started.
 */
export function createSubscriptionCache(pool: pg.Pool, session: Session): SubscriptionCache {
  const entries = new Map<number, Entry>();
  // An answer that was under way while its subscription changed may be the old one.
  let changes = 0;

  session.listen('posthorn_subscriptions', (payload) => {
    changes += 1;
    entries.delete(Number(payload));
  });
  session.onLost(() => {
    changes += 1;
    entries.clear();
  });

  const loader = createGroupCommit<number, CachedSubscription | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(ids) {
      const changesBefore = changes;
      const { rows } = await pool.query<SubscriptionRow>({
        name: 'subscriptions-load',
        text: `
          select id, url, secret, status, circuit_open, through_backlog, retry_schedule, timeout_ms,
            headers, max_in_flight, rate_limit, rate_limit_per_ms, ordering
          from posthorn.subscriptions
          where id = any($1) and deleted_at is null`,
        values: [[...new Set(ids)]],
      });
      const found = new Map(rows.map((row) => [row.id, read(row)]));
      const freshMs = session.connected ? FRESH_MS : FRESH_WITHOUT_NOTIFICATIONS_MS;
      const freshUntil = performance.now() + freshMs;
      return ids.map((id) => {
        const value = found.get(id) ?? null;
        if (changes === changesBefore) {
          if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as number);
          entries.set(id, { value, freshUntil });
        }
        return value;
      });
    },
  });

  function peek(id: number): CachedSubscription | null | undefined {
    const entry = entries.get(id);
    return entry !== undefined && entry.freshUntil > performance.now() ? entry.value : undefined;
  }

  return {
    peek,
    async get(id) {
      const known = peek(id);
      return known === undefined ? await loader.add(id) : known;
    },
  };
}

interface SubscriptionRow extends PolicyColumns {
  readonly id: number;
  readonly url: string;
  readonly secret: string | null;
  readonly status: SubscriptionStatus;
  readonly circuit_open: boolean;
  readonly through_backlog: boolean;
}

/** The API judges what it stores, but a row can be written by SQL too. */
function read(row: SubscriptionRow): CachedSubscription {
  const { id, rate_limit, rate_limit_per_ms } = row;
  const known = {
    id,
    status: row.status,
    circuitOpen: row.circuit_open,
    throughBacklog: row.through_backlog,
    timeoutMs: row.timeout_ms,
    headers: Object.entries(row.headers ?? {}).flat(),
    maxInFlight: row.max_in_flight,
    rateLimit:
      rate_limit === null || rate_limit_per_ms === null
        ? null
        : { limit: rate_limit, perMs: rate_limit_per_ms },
    ordering: row.ordering,
  };
  try {
    return {
      ...known,
      url: new URL(row.url),
      key: row.secret === null ? null : createSigningKey(row.secret),
      schedule: row.retry_schedule === null ? null : parseRetrySchedule(row.retry_schedule),
      problem: null,
    };
  } catch (error) {
    return {
      ...known,
      url: new URL('http://invalid.invalid'),
      key: null,
      schedule: null,
      problem: errorMessage(error),
    };
  }
}
