import { setTimeout as sleep } from 'node:timers/promises';
import type { Loop } from '../lib/loop-health.ts';
import { isTimeout, isUnavailable } from './availability.ts';

const FIRST_PAUSE_MS = 100;
/** Short enough that work goes on within seconds of the database being back. */
const MAX_PAUSE_MS = 1_000;
/**
 * Does the work, again and again for as long as the database cannot be used.
 *
 * @param loop told each time that it could not be; the caller tells it of the rest. Left out where the work
 *   tells a loop itself.
 * @param mostTimeouts so many timeouts in a row are thrown: then the statement itself may be too much, such
 *   as one row of it that is locked, and the caller divides it.
 */
export type Patience = <T>(
  work: () => Promise<T>,
  loop?: Loop,
  mostTimeouts?: number,
) => Promise<T>;

/**
 * For work that has nobody to turn to: a job that failed because Postgres restarts would only be
 * tried again later than necessary, and a result that was dropped means a webhook sent twice.
 *
 * @param giveUp from then on, the last error is thrown.
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
