/** So many requests in a time. */
export interface RateLimit {
  readonly limit: number;
  readonly perMs: number;
}

export interface RateLimiter {
  /** How many requests may begin now. */
  permits(now: number): number;
  /** Counts requests that begin. */
  take(count: number, now: number): void;
  /** Until one may begin. */
  nextInMs(now: number): number;
}

/** A tenth of the limit may begin at once, or one request. */
const BURST_SHARE = 0.1;

/**
 * Keeps requests to a rate, evenly: the generic cell rate algorithm. `due` is when all that has
 * begun would have been due at that rate; a request may begin when it is no further ahead than the
 * burst allows. So in any time of `perMs` no more than `limit` and a burst begin.
 *
 * @param lastAt when the last request began, if that is known: who takes over from another process
 *   begins without a burst, and no sooner than the rate allows after what that one has sent.
 */
export function createRateLimiter(
  { limit, perMs }: RateLimit,
  now: number,
  lastAt?: number,
): RateLimiter {
  const intervalMs = perMs / limit;
  const burst = Math.max(1, Math.floor(limit * BURST_SHARE));
  const aheadMs = (burst - 1) * intervalMs;
  let due = Math.max(now, (lastAt ?? Number.NEGATIVE_INFINITY) + intervalMs) + aheadMs;
  // What adding up fractions may be off by.
  const slackMs = 1e-6;

  return {
    permits: (at) =>
      Math.max(0, Math.min(burst, Math.floor((at - due + aheadMs + slackMs) / intervalMs) + 1)),
    take(count, at) {
      due = Math.max(due, at) + count * intervalMs;
    },
    nextInMs: (at) => Math.max(0, due - aheadMs - at),
  };
}
