import { setTimeout as sleep } from 'node:timers/promises';
import type { Loop } from '../lib/loop-health.ts';
import { isTimeout, isUnavailable } from './availability.ts';

const FIRST_PAUSE_MS = 100;
/** Short enough that work continues within seconds after the database is back. */
const MAX_PAUSE_MS = 1_000;
/**
 * Runs the work again and again for as long as the database cannot be used.
 *
 * @param loop told each time that the database could not be used; the caller reports success. Left out if
 *   the work reports to a loop itself.
 * @param mostTimeouts after this many timeouts in a row the error is thrown: the statement itself may be the
 *   cause, for example one locked row, and the caller can divide it.
 */
export type Patience = <T>(
  work: () => Promise<T>,
  loop?: Loop,
  mostTimeouts?: number,
) => Promise<T>;

/**
 * For background work, where failing would not help: a job that failed because Postgres restarts would only
 * be retried later than necessary, and a lost result means a webhook sent twice.
 *
 * @param giveUp once it is aborted, the last error is thrown.
 */
export function createPatience(giveUp: AbortSignal): Patience {
  return async (work, loop, mostTimeouts = Number.POSITIVE_INFINITY) => {
    let timeouts = 0;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      try {
        return await work();
      } catch (error) {
        if (!isUnavailable(error) || giveUp.aborted) throw error;
        timeouts = isTimeout(error) ? timeouts + 1 : 0;
        if (timeouts >= mostTimeouts) throw error;
        loop?.failed(error);
        await sleep(pauseMs);
      }
    }
  };
}
