import type { CachedSubscription } from '../subscriptions/cache.ts';

/**
 * SQL condition: a worker should own the backlog of subscription `s` (null where there is none).
 * Paused and disabled subscriptions need no owner, nor do those whose receivers pull. The owner of a deleted one's backlog cancels its
 * deliveries. A backlog with an open circuit stays owned, since its owner times the probes.
 */
export const MAY_OWN = `(s.id is null or s.deleted_at is not null or s.status = 'active' and s.url is not null)`;

/** Says how much of a backlog may be sent now. */
export interface SendPermission {
  /** `probe`: one request, and no other beside it. */
  readonly allowed: 'all' | 'probe' | 'nothing';
  /** With `nothing`: when more may be allowed, if time alone can change it. */
  readonly againInMs: number | null;
}

const ALL: SendPermission = { allowed: 'all', againInMs: null };
const PROBE: SendPermission = { allowed: 'probe', againInMs: null };
const NOTHING: SendPermission = { allowed: 'nothing', againInMs: null };

/**
 * Decides whether held deliveries of a subscription may be sent; nothing else does. The owner asks
 * before it loads deliveries and again just before each request, and a change of the subscription,
 * from any process, makes it ask again at once.
 */
export function maySend(subscription: CachedSubscription | null): SendPermission {
  if (subscription === null) return ALL;
  if (subscription.status !== 'active') return NOTHING;
  if (!subscription.circuitOpen) return ALL;
  const { probeAt } = subscription;
  if (probeAt === null) return NOTHING;
  const inMs = probeAt - performance.now();
  return inMs <= 0 ? PROBE : { allowed: 'nothing', againInMs: inMs };
}
