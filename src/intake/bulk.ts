/** A sender with more webhooks than this in the last second or two sends in bulk. */
const BULK_OF_SENDER = 500;
/** The same for a tenant, over all event types: about what a small machine delivers in that time. */
const BULK_OF_TENANT = 2_000;
const WINDOW_MS = 1_000;
/** The most senders counted at a time; beyond that, counting starts again. */
const MAX_COUNTED = 100_000;

/** The unit by which webhooks are counted: a subscription, or a tenant and event type. */
export type Sender = number | string;

interface BulkDetector {
  /** Adds to a sender's count of webhooks or deliveries. Returns whether the sender sends in bulk. */
  count(tenant: string, sender: Sender, webhooks: number): boolean;
}

/**
 * Detects senders of many webhooks at once, so that the webhooks of others can go first. It counts in
 * windows of a second, the current window and the previous window.
 *
 * @param now milliseconds of a clock that only goes forward.
 */
export function createBulkDetector(now: () => number = () => performance.now()): BulkDetector {
  const countOfSender = createCounter<Sender>(now);
  const countOfTenant = createCounter<string>(now);
  return {
    count(tenant, sender, webhooks) {
      const senderCount = countOfSender(sender, webhooks);
      const tenantCount = countOfTenant(tenant, webhooks);
      return senderCount > BULK_OF_SENDER || tenantCount > BULK_OF_TENANT;
    },
  };
}

/** Returns a function that adds to a count and returns the sum of the current and the previous window. */
function createCounter<Key>(now: () => number): (key: Key, more: number) => number {
  let counts = new Map<Key, number>();
  let previous = new Map<Key, number>();
  let windowStart = now();
  return (key, more) => {
    const at = now();
    if (at - windowStart >= WINDOW_MS || counts.size >= MAX_COUNTED) {
      previous = at - windowStart < 2 * WINDOW_MS ? counts : new Map();
      counts = new Map();
      windowStart = at;
    }
    const count = (counts.get(key) ?? 0) + more;
    counts.set(key, count);
    return count + (previous.get(key) ?? 0);
  };
}
