/** At most `limit` requests in `perMs` milliseconds. */
export interface RateLimit {
  readonly limit: number;
  readonly perMs: number;
}

export interface RateLimiter {
  /** Returns how many requests may begin now. */
  permits(now: number): number;
  /** Counts requests that begin. */
  take(count: number, now: number): void;
  /** Returns how long until a request may begin. */
  nextInMs(now: number): number;
}

/** A tenth of the limit may begin at once, or one request. */
const BURST_SHARE = 0.1;

/**
 * Keeps requests to a rate, evenly: the generic cell rate algorithm. `due` is when all that has
 * begun would have been due at that rate; a request may begin when it is no further ahead than the
 * burst allows. So in any time of `perMs` no more than `limit` and a burst begin.
 *
 * @param lastAt when the last request began, if known: a process that takes over from another one
 *   begins without a burst, and not before the rate allows it after that request.
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
  // The rounding error of adding up fractions.
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

/** Keeps a backlog to the rate limit of its subscription, which may change at any time. */
export interface RateKeeper {
  /** When the last request began; minus infinity: never; undefined: not read from the log yet. */
  lastStartedAt: number | undefined;
  /** True if there was a limit when `permits` was called last. */
  readonly limited: boolean;
  /** Returns how many requests may begin now; infinity without a limit. */
  permits(limit: RateLimit | null, now: number): number;
  /** Counts a request that begins. */
  take(now: number): void;
  /** Returns how long until a request may begin. */
  nextInMs(now: number): number;
}

export function createRateKeeper(): RateKeeper {
  let limiter: RateLimiter | null = null;
  let current: RateLimit | null = null;

  return {
    lastStartedAt: undefined,
    get limited() {
      return limiter !== null;
    },
    permits(limit, now) {
      if (limit === null) limiter = null;
      else if (limiter === null || limit.limit !== current?.limit || limit.perMs !== current.perMs)
        limiter = createRateLimiter(limit, now, this.lastStartedAt);
      current = limit;
      return limiter?.permits(now) ?? Number.POSITIVE_INFINITY;
    },
    take(now) {
      limiter?.take(1, now);
      this.lastStartedAt = now;
    },
    nextInMs: (now) => limiter?.nextInMs(now) ?? 0,
  };
}
