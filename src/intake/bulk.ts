/** More than so many of one sender in the last second or two are many at once. */
const MANY_OF_SENDER = 500;
/** And so many of one tenant, by whatever types: about what a small machine delivers in that time. */
const MANY_OF_TENANT = 2_000;
const WINDOW_MS = 1_000;
/** Of senders that are counted at a time; beyond that, counting begins anew. */
const MAX_COUNTED = 100_000;

/** Whose webhooks are counted together: a subscription's, or those of a tenant and a type. */
export type Sender = number | string;

export interface BulkDetector {
  /** Counts so many more of a sender's webhooks, or deliveries. Returns whether they are many. */
  count(tenant: string, sender: Sender, webhooks: number): boolean;
}

/**
 * Tells who sends many webhooks at once, so that they can go after those of others. It counts in
 * spans of a second, the present one and the one before it.
 *
 * @param now milliseconds of a clock that only goes forward.
 */
export function createBulkDetector(now: () => number = () => performance.now()): BulkDetector {
  const countOfSender = createCounter<Sender>(now);
  const countOfTenant = createCounter<string>(now);
  return {
    count(tenant, sender, webhooks) {
      const ofSender = countOfSender(sender, webhooks);
      const ofTenant = countOfTenant(tenant, webhooks);
      return ofSender > MANY_OF_SENDER || ofTenant > MANY_OF_TENANT;
    },
  };
}

/** Returns a function that adds to a count and says what it is, in this span and the one before. */
function createCounter<Key>(now: () => number): (key: Key, more: number) => number {
  let counts = new Map<Key, number>();
  let before = new Map<Key, number>();
  let since = now();
  return (key, more) => {
    const at = now();
    if (at - since >= WINDOW_MS || counts.size >= MAX_COUNTED) {
      before = at - since < 2 * WINDOW_MS ? counts : new Map();
      counts = new Map();
      since = at;
    }
    const counted = (counts.get(key) ?? 0) + more;
    counts.set(key, counted);
    return counted + (before.get(key) ?? 0);
  };
}
