/**
 * The queue is polled this often for jobs without a wake-up: NOTIFY announces new ones, `wakeIn` retries,
 * and freeing a dead worker's jobs polls at once. Of workers with nothing to do, the oldest alone does it.
 */
const POLL_MS = 3_000;
/** The others poll this often, in case that the oldest one is frozen. */
export const SPARE_POLL_MS = 20_000;
/** A worker that has had jobs polls on for this time. */
const BUSY_MS = 60_000;

export interface Polling {
  start(): void;
  /** Must be called when jobs were found. */
  found(): void;
  /** Must be called with the number of workers that are older than this one. */
  setOlder(workers: number): void;
  stop(): void;
}

/**
 * Polls the queue on a clock, so that ten workers with nothing to do cost the database little more than one.
 *
 * @param poll looks for jobs now.
 */
export function createPolling(poll: () => void): Polling {
  let foundAt = Number.NEGATIVE_INFINITY;
  let isOldest = true;
  let timer: NodeJS.Timeout | undefined;
  return {
    start() {
      timer = setInterval(() => {
        if (isOldest || performance.now() - foundAt < BUSY_MS) poll();
      }, POLL_MS);
    },
    found() {
      foundAt = performance.now();
    },
    setOlder(workers) {
      isOldest = workers === 0;
    },
    stop: () => clearInterval(timer),
  };
}
