import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { mayBeOfRows } from '../db/availability.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import { type AttemptResult, recordAttempts } from '../deliveries/record.sql.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { errorsOf, isolate, UNTRIED } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';

export const RECORDER_CONNECTIONS = 2;
const MAX_GROUP = 500;
/**
 * Results are gathered for this time, since nothing waits for them. *Measured* at 500 deliveries a
 * second: without this each is a transaction of its own, and Postgres has a quarter more to do. Attempts
 * that ended in this time before a crash are sent again.
 */
const GATHER_MS = 20;

/** A result that cannot be recorded is tried again after growing pauses, at most this. */
const MAX_PAUSE_MS = 15_000;
/**
 * Results that may wait because they cannot be recorded, of a subscription and of all. At this bound
 * nothing more is sent: each holds a place among the running jobs, and the next result might wait too.
 */
const MAX_UNRECORDED_EACH = 10;
const MAX_UNRECORDED = 200;
/** A group is divided after so many timeouts in a row: another session may lock one row. */
const MAX_TIMEOUTS = 2;

export interface Recorder {
  /**
   * Resolves once the attempt is committed. Until then the result is kept and tried again, since a
   * webhook whose result is dropped is sent twice. Rejects when the process has to end before.
   *
   * @param urgent something waits for the result, such as the next delivery of a strict order.
   */
  record(result: AttemptResult, urgent: boolean): Promise<void>;
  /** Returns whether another attempt to the subscription may begin: not while too many results wait. */
  hasRoom(subscriptionId: number): boolean;
  /** Returns whether a result of this delivery waits to be recorded. */
  isUnrecorded(subscriptionId: number, webhookId: string): boolean;
}

export interface RecorderOptions {
  readonly pool: pg.Pool;
  readonly patience: Patience;
  readonly loop: Loop;
  /** When it aborts, waiting results are given up. */
  readonly ending: AbortSignal;
  readonly log: Logger;
  /** Called for each retry job, with the time until it is due. */
  readonly wakeIn: (delayMs: number) => void;
  /** Called with the number of attempts that are recorded together, for metrics. */
  readonly onGroup: (attempts: number) => void;
  /** Called when a result of the subscription has to wait; its other deliveries need not. */
  readonly onUnrecorded: (subscriptionId: number) => void;
}

/** Attempts that end together are recorded together; an attempt that cannot be recorded waits alone. */
export function createRecorder(options: RecorderOptions): Recorder {
  const { pool, patience, loop, ending, log, wakeIn, onGroup, onUnrecorded } = options;
  /** The webhooks of each subscription whose results wait to be recorded. */
  const waiting = new Map<number, Set<string>>();
  let waitingCount = 0;

  const groups = createGroupCommit<AttemptResult, unknown>({
    concurrency: RECORDER_CONNECTIONS,
    maxItems: MAX_GROUP,
    gatherMs: GATHER_MS,
    async run(results) {
      onGroup(results.length);
      const errors = new Map<AttemptResult, unknown>();
      const untried: AttemptResult[] = [];
      for (const distinct of withoutRepeats(results)) {
        const failed = await isolate(distinct, recordAll, mayBeOfRows);
        for (const [result, error] of failed.errors) errors.set(result, error);
        untried.push(...failed.untried);
      }
      const [first] = errors;
      if (first !== undefined) {
        const [{ webhookId, subscriptionId }, error] = first;
        const unrecorded = errors.size + untried.length;
        loop.failed(error, { webhookId, subscriptionId, unrecorded });
      } else if (waitingCount === 0) {
        loop.succeeded();
      }
      return errorsOf(results, { errors, untried });
    },
  });

  async function recordAll(results: AttemptResult[]): Promise<void> {
    // Kept for as long as the database is away: a lost result means sending again. Memory is bounded by
    // the attempts in flight, since nothing more is loaded meanwhile.
    const { late, wakeInMs } = await patience(
      () => recordAttempts(pool, results),
      loop,
      MAX_TIMEOUTS,
    );
    wakeInMs.forEach(wakeIn);
    if (late > 0) log.warn({ late }, 'recorded duplicate attempts: another worker finished first');
  }

  /** Tries again until the result is recorded, whatever the error. */
  async function retryUntilRecorded(
    result: AttemptResult,
    urgent: boolean,
    first: unknown,
  ): Promise<void> {
    const { subscriptionId: id, webhookId } = result;
    const webhooks = waiting.get(id) ?? new Set();
    waiting.set(id, webhooks.add(webhookId));
    waitingCount += 1;
    onUnrecorded(id);
    try {
      let error = first;
      for (let failures = 0; error !== undefined; ) {
        if (ending.aborted) throw error;
        if (error !== UNTRIED) failures += 1;
        const pauseMs = pauseAfter(Math.max(1, failures), MAX_PAUSE_MS);
        await sleep(pauseMs, undefined, { signal: ending }).catch(() => {});
        error = await groups.add(result, urgent);
      }
    } finally {
      waitingCount -= 1;
      webhooks.delete(webhookId);
      if (webhooks.size === 0) waiting.delete(id);
      if (waitingCount === 0 && !ending.aborted) loop.succeeded();
    }
  }

  return {
    async record(result, urgent) {
      const error = await groups.add(result, urgent);
      if (error !== undefined) await retryUntilRecorded(result, urgent, error);
    },
    hasRoom: (id) =>
      waitingCount === 0 ||
      (waitingCount < MAX_UNRECORDED && (waiting.get(id)?.size ?? 0) < MAX_UNRECORDED_EACH),
    isUnrecorded: (id, webhookId) => waitingCount > 0 && waiting.get(id)?.has(webhookId) === true,
  };
}

/**
 * Splits off results that name a delivery a second time (two jobs for one attempt): a statement
 * changes a row only once, so the second result needs a statement of its own to be found a duplicate.
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
