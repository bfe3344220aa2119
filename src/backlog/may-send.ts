import type { CachedSubscription } from '../subscriptions/cache.ts';

/**
 * SQL: whether a worker is to own the backlog of subscription `s` (null where there is none): what
 * is paused or disabled needs nobody. What is held for one that was deleted is cancelled by its
 * owner. An open circuit stays owned: somebody has to know when its probe is due.
 */
export const MAY_OWN = `(s.id is null or s.deleted_at is not null or s.status = 'active')`;

/** How much of a backlog may be sent now. */
export interface SendPermission {
  /** `probe`: one request, and no other beside it. */
  readonly allowed: 'all' | 'probe' | 'nothing';
  /** Where that is nothing: when it may be more, if time alone can change it. */
  readonly againInMs: number | null;
}

const ALL: SendPermission = { allowed: 'all', againInMs: null };
const PROBE: SendPermission = { allowed: 'probe', againInMs: null };
const NOTHING: SendPermission = { allowed: 'nothing', againInMs: null };

/**
 * Whether what is held for a subscription may be sent: the one place that knows. It is asked before
 * anything is loaded, and again just before each request; a change of the subscription, by whoever,
 * makes the owner of its backlog ask anew at once.
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
