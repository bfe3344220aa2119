import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import { rarely } from '../lib/rarely.ts';
import { isUnavailable } from './availability.ts';

const FIRST_PAUSE_MS = 100;
/** Short enough that work goes on within seconds of the database being back. */
const MAX_PAUSE_MS = 1_000;
const REPORT_EVERY_MS = 5_000;

/** Does the work, again and again for as long as the database cannot be used. */
export type Patience = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * For work that has nobody to turn to: a job that failed because Postgres restarts would only be
 * tried again later than necessary, and a result that was dropped means a webhook sent twice.
 *
 * @param giveUp from then on, the last error is thrown.
 */
export function createPatience(log: Logger, giveUp: AbortSignal): Patience {
  const report = rarely<unknown>(REPORT_EVERY_MS, (error, times) => {
    log.warn(
      { reason: errorMessage(error), times },
      'the database cannot be used; what is under way waits for it',
    );
  });
  return async (work) => {
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      try {
        return await work();
      } catch (error) {
        if (!isUnavailable(error) || giveUp.aborted) throw error;
        report(error);
        await sleep(pauseMs);
      }
    }
  };
}
