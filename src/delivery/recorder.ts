import type pg from 'pg';
import type { Logger } from 'pino';
import type { Patience } from '../db/patience.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { type AttemptResult, recordAttempts } from './record.sql.ts';

export const RECORDER_CONNECTIONS = 2;
const MAX_GROUP = 500;
/**
 * Nobody waits for a record, and at some hundred deliveries a second each would be a transaction of its
 * own: at 500 a second, without this, Postgres has a quarter more to do. What ended in this time before a
 * crash is sent again.
 */
const GATHER_MS = 10;

export interface Recorder {
  /**
   * Resolves once the attempt is committed.
   *
   * @param urgent whether something waits for that, such as the next one of an order.
   */
  record(result: AttemptResult, urgent: boolean): Promise<void>;
}

/**
 * Attempts that end together are recorded together.
 *
 * @param wakeIn told in how many milliseconds each job is due that was added for retries.
 */
export function createRecorder(
  pool: pg.Pool,
  patience: Patience,
  log: Logger,
  wakeIn: (delayMs: number) => void,
): Recorder {
  const groups = createGroupCommit<AttemptResult, void>({
    concurrency: RECORDER_CONNECTIONS,
    maxItems: MAX_GROUP,
    gatherMs: GATHER_MS,
    async run(results) {
      for (const distinct of withoutRepeats(results)) await recordAll(distinct);
      return [];
    },
  });

  async function recordAll(results: AttemptResult[]): Promise<void> {
    // Worth holding on to for as long as the database is away: losing it means sending again. It is
    // no more than what was in flight, since nothing more is loaded meanwhile.
    const { moved, wakeInMs } = await patience(() => recordAttempts(pool, results));
    wakeInMs.forEach(wakeIn);
    if (moved < results.length) {
      log.warn(
        { late: results.length - moved },
        'attempts whose deliveries had moved on were logged as extra',
      );
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
