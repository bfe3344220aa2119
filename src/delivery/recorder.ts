import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type AttemptResult, recordAttempts } from './record.sql.ts';

export const RECORDER_CONNECTIONS = 2;
const MAX_GROUP = 500;
/** A result is worth holding on to while the database restarts: losing it means sending again. */
const TRIES = 8;
const FIRST_PAUSE_MS = 100;

export interface Recorder {
  /** Resolves once the attempt is committed. */
  record(result: AttemptResult): Promise<void>;
}

/**
 * Attempts that end together are recorded together.
 *
 * @param wakeIn told in how many milliseconds each job is due that was added for retries.
 */
export function createRecorder(
  pool: pg.Pool,
  log: Logger,
  wakeIn: (delayMs: number) => void,
): Recorder {
  const groups = createGroupCommit<AttemptResult, void>({
    concurrency: RECORDER_CONNECTIONS,
    maxItems: MAX_GROUP,
    async run(results) {
      for (const distinct of withoutRepeats(results)) await recordPatiently(distinct);
      return [];
    },
  });

  async function recordPatiently(results: AttemptResult[]): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const { moved, wakeInMs } = await recordAttempts(pool, results);
        wakeInMs.forEach(wakeIn);
        if (moved < results.length) {
          log.warn(
            { late: results.length - moved },
            'attempts whose deliveries had moved on were logged as extra',
          );
        }
        return;
      } catch (error) {
        if (attempt === TRIES) throw error;
        log.warn(
          { attempts: results.length, reason: errorMessage(error) },
          'recording attempts failed; trying again',
        );
        await sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }

  return { record: groups.add };
}

/**
 * Splits off results that name a delivery a second time (two jobs for one attempt): a statement
 * changes a row once, so the later one must meet the fence in a statement of its own.
 */
function withoutRepeats(results: AttemptResult[]): AttemptResult[][] {
  const seen = new Set<string>();
  const repeats: AttemptResult[] = [];
  const distinct = results.filter((result) => {
    const key = `${result.webhookId}.${result.subscriptionId}`;
    if (!seen.has(key)) return seen.add(key);
    repeats.push(result);
    return false;
  });
  return repeats.length === 0 ? [distinct] : [distinct, ...withoutRepeats(repeats)];
}
