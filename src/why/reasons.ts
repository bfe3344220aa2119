// Why a delivery is in its state: one reason for each delivery. Each reason has its sentence in unfinished.ts or
// ended.ts, which the compiler checks, and test/why/every-reason.test.ts brings each about in a real service.
import type { DeliveryState } from '../db/types.ts';
import type { HeldReason } from '../deliveries/held-reasons.ts';
import type { Facts } from './facts.sql.ts';

/** The reasons of each state, in the order in which they are looked for: the first that holds is the reason. */
export const REASONS = {
  pending: [
    'cancelling',
    'skipping',
    'scheduled',
    'retry',
    'no_worker',
    'to_be_held',
    'handed_over',
    'worker_ended',
    'waking',
    'queued',
  ],
  held: [
    'cancelling',
    'skipping',
    'paused',
    'disabled',
    'circuit_open',
    'leased',
    'no_worker',
    'probing',
    'no_owner',
    'ordering',
    'retry',
    'to_be_pulled',
    'rate_limit',
    'max_in_flight',
    'next_of_key',
    'backlog',
  ],
  succeeded: ['delivered'],
  failed: ['expired', 'gone', 'blocked', 'attempts_used_up'],
  cancelled: ['skipped', 'subscription_deleted', 'cancelled'],
} as const satisfies Record<DeliveryState, readonly string[]>;

export type Reason<S extends DeliveryState = DeliveryState> = (typeof REASONS)[S][number];

/** A rule of a subscription by which its deliveries are held. */
export type Rule = Exclude<HeldReason, 'receiver_busy'> | 'max_in_flight';

/** Returns the rule by which deliveries of the subscription are held; null: there is none. */
export function ruleOf({ subscription, circuit }: Facts): Rule | null {
  const { status, isPulled, ordering, rateLimit, maxInFlight } = subscription;
  if (status !== 'active') return status;
  if (isPulled) return 'pull';
  if (circuit?.openedAt != null) return 'circuit_open';
  if (ordering === 'strict') return 'ordering';
  if (rateLimit !== null) return 'rate_limit';
  return maxInFlight === null ? null : 'max_in_flight';
}

type Judge<S extends DeliveryState> = (facts: Facts) => Reason<S>;

const JUDGES: { readonly [S in DeliveryState]: Judge<S> } = {
  pending(facts) {
    const { delivery, subscription, workers } = facts;
    if (subscription.deletedAt !== null) return 'cancelling';
    if (delivery.isSkipped) return 'skipping';
    if (isDueLater(facts)) return delivery.attemptCount === 0 ? 'scheduled' : 'retry';
    const isInMemory = workers.holder?.alive === true;
    if (workers.ofQueue === 0 && !isInMemory) return 'no_worker';
    if (ruleOf(facts) !== null) return 'to_be_held';
    if (isInMemory) return 'handed_over';
    if (workers.holder !== null) return 'worker_ended';
    return delivery.queued ? 'queued' : 'waking';
  },
  held(facts) {
    const { delivery, subscription, circuit, workers, now } = facts;
    if (subscription.deletedAt !== null) return 'cancelling';
    if (delivery.isSkipped) return 'skipping';
    if (subscription.status !== 'active') return subscription.status;
    if (subscription.isPulled) return reasonToPull(facts);
    const isOpen = circuit?.openedAt != null;
    if (isOpen && circuit.probeAt !== null && circuit.probeAt > now) return 'circuit_open';
    if (workers.ofBacklogs === 0) return 'no_worker';
    if (isOpen) return 'probing';
    if (!workers.backlogOwned) return 'no_owner';
    const isStrict = subscription.ordering === 'strict';
    if (isBehind(facts)) return 'ordering';
    if (isDueLater(facts)) return 'retry';
    if (subscription.rateLimit !== null) return 'rate_limit';
    if (subscription.maxInFlight !== null) return 'max_in_flight';
    return isStrict ? 'next_of_key' : 'backlog';
  },
  succeeded: () => 'delivered',
  failed({ delivery, lastAttempt }) {
    if (delivery.reason === 'expired') return 'expired';
    if (lastAttempt?.errorCode === 'gone') return 'gone';
    return lastAttempt?.status === 'blocked' ? 'blocked' : 'attempts_used_up';
  },
  cancelled({ delivery, subscription }) {
    if (delivery.reason === 'skipped') return 'skipped';
    return subscription.deletedAt === null ? 'cancelled' : 'subscription_deleted';
  },
};

/** Why a delivery is held that its receiver pulls. */
function reasonToPull(facts: Facts): Reason<'held'> {
  if (facts.lease !== null) return 'leased';
  if (isBehind(facts)) return 'ordering';
  return isDueLater(facts) ? 'retry' : 'to_be_pulled';
}

/** With strict order, an older delivery of its key goes first. */
function isBehind({ subscription, queue }: Facts): boolean {
  return subscription.ordering === 'strict' && (queue?.behind != null || queue?.complete === false);
}

/** Returns why a delivery is in its state. */
export function reasonOf(facts: Facts): Reason {
  return JUDGES[facts.delivery.state](facts);
}

/** Returns true if the next attempt of the delivery is due in the future. */
export function isDueLater({ delivery: { dueAt }, now }: Facts): boolean {
  return dueAt !== null && dueAt > now;
}
