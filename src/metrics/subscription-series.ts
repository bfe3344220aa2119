import { Counter, type Registry } from 'prom-client';
import type { AttemptResult } from '../deliveries/record.sql.ts';

/** The label of the subscriptions that have no series of their own. */
const OTHERS = 'other';

/**
 * Counts attempts by their subscription. The first `most` subscriptions that have an attempt get series of their own
 * until the process ends, and all others share one, so that tenants with many subscriptions cannot fill the memory of
 * the process and of Prometheus.
 */
export function createSubscriptionSeries(
  registry: Registry,
  most: number,
): (result: Pick<AttemptResult, 'subscriptionId' | 'status' | 'durationMs'>) => void {
  const registers = [registry];
  const attempts = new Counter({
    name: 'posthorn_subscription_attempts_total',
    help: 'Attempts by their subscription; those of subscriptions without series of their own are under "other"',
    labelNames: ['subscription_id', 'status'],
    registers,
  });
  const seconds = new Counter({
    name: 'posthorn_subscription_attempt_seconds_total',
    help: 'Time that the attempts took together, by their subscription',
    labelNames: ['subscription_id'],
    registers,
  });
  const own = new Set<number>();

  return ({ subscriptionId, status, durationMs }) => {
    if (own.size < most) own.add(subscriptionId);
    const subscription_id = own.has(subscriptionId) ? String(subscriptionId) : OTHERS;
    attempts.inc({ subscription_id, status });
    seconds.inc({ subscription_id }, durationMs / 1000);
  };
}
