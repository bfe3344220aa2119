/** More than so many of one sender in the last second or two are many at once. */
const MANY = 500;
const WINDOW_MS = 1_000;
/** Of senders that are counted at a time; beyond that, counting begins anew. */
const MAX_SENDERS = 100_000;

/** Whose webhooks are counted together: a subscription's, or those of a tenant and a type. */
export type Sender = number | string;

export interface BulkDetector {
  /** Counts so many more of a sender's webhooks. Returns whether they are many. */
  count(sender: Sender, webhooks: number): boolean;
}

/**
 * Tells who sends many webhooks at once, so that they can go after those of others. It counts in
 * spans of a second, the present one and the one before it.
 *
 * @param now milliseconds of a clock that only goes forward.
 */
export function createBulkDetector(now: () => number = () => performance.now()): BulkDetector {
  let counts = new Map<Sender, number>();
  let before = new Map<Sender, number>();
  let since = now();

  return {
    count(sender, webhooks) {
      const at = now();
      if (at - since >= WINDOW_MS || counts.size >= MAX_SENDERS) {
        before = at - since < 2 * WINDOW_MS ? counts : new Map();
        counts = new Map();
        since = at;
      }
      const counted = (counts.get(sender) ?? 0) + webhooks;
      counts.set(sender, counted);
      return counted + (before.get(sender) ?? 0) > MANY;
    },
  };
}
