import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { notFound, Problem } from './problems.ts';

/**
 * Returns a subscription of the tenant whose receiver pulls.
 *
 * @throws Problem (404, 409).
 */
export async function pulledSubscription(
  subscriptions: SubscriptionCache,
  tenant: string,
  id: number,
): Promise<CachedSubscription> {
  const subscription = await subscriptions.get(id);
  if (subscription === null || subscription.tenant !== tenant) throw notFound('subscription', id);
  if (subscription.url !== null)
    throw new Problem(
      'conflict',
      `Subscription ${id} has a URL, to which its webhooks are sent. To pull, create a subscription whose url is null.`,
    );
  if (subscription.problem !== null)
    throw new Problem(
      'conflict',
      `Subscription ${id} is not valid (${subscription.problem}). Correct it.`,
    );
  return subscription;
}
