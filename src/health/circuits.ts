import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { mayBeOfRows } from '../db/availability.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { errorsOf, isolate } from '../lib/isolate.ts';
import type { Loop } from '../lib/loop-health.ts';
import { pauseAfter } from '../lib/pause-after.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { type CircuitPolicy, DEFAULT_CIRCUIT_POLICY } from './circuit-policy.ts';
import {
  type FailureReport,
  reportAnswers,
  reportFailures,
  reportSuccesses,
} from './circuits.sql.ts';

/**
 * Failures in a row from which on the database is told; fewer may be chance. If another process has told it, each counts:
 * the database adds them up, so that a circuit does not open later with more processes.
 */
const WRITE_DOWN_AFTER = 3;
/** A subscription that goes on failing is reported after this time, then after twice as long, and so on. */
const REPORT_EVERY_MS = 1_000;
const REPORT_AT_LEAST_EVERY_MS = 60_000;
/** By then every process has heard of a report. */
const NEWS_MS = 2_000;
/** The longest pause that a receiver gets by `Retry-After`; then it is tried again. */
const MAX_PAUSE_MS = 3_600_000;
/** Failing subscriptions in memory; the oldest is forgotten first. */
const MAX_FAILING = 50_000;
/** Small, since each report may send operational webhooks, which looks up their subscriptions. */
const MAX_GROUP = 50;
/** A report that cannot be written is tried again after growing pauses, at most this. */
const MAX_UNWRITTEN_PAUSE_MS = 60_000;
const MAX_TIMEOUTS = 2;

/**
 * The health of a receiver by one attempt. `well`: it succeeded. `down`: no answer, or an error of the
 * receiver's own. `refused`: it answered and refused this webhook. `gone`: it wants no more webhooks.
 * `unsent`: no request was made, because of the subscription; `unread`: because of the webhook alone.
 */
export type ReceiverHealth = 'well' | 'down' | 'refused' | 'gone' | 'unsent' | 'unread';

/** The end of an attempt, as far as it says something of its receiver. */
export interface AttemptEnd {
  readonly receiverHealth: ReceiverHealth;
  readonly durationMs: number;
  /** The attempt was a probe. */
  readonly probe: boolean;
  /** The receiver's `Retry-After`, where it is about the receiver as a whole. */
  readonly pauseMs: number | undefined;
  readonly errorCode: string | null;
  readonly error: string | null;
}

export interface CircuitsOptions {
  readonly pool: pg.Pool;
  readonly subscriptions: SubscriptionCache;
  readonly patience: Patience;
  readonly loop: Loop;
  /** When it aborts, pauses end. */
  readonly ending: AbortSignal;
  /** Null: circuits never open. */
  readonly policy: CircuitPolicy | null;
  /** Failing for so long without a success, a subscription is disabled; null: never. */
  readonly disableAfterMs: number | null;
  /** Called when a circuit closes, before more is sent to the subscription. */
  readonly onClosed: (subscriptionId: number) => void;
  readonly log: Logger;
  readonly now?: () => number;
}

export interface Circuits {
  /**
   * Counts the end of an attempt.
   *
   * @returns a promise that the report is committed, or undefined when there is nothing to report.
   */
  observe(subscription: CachedSubscription, end: AttemptEnd): Promise<void> | undefined;
}

interface FailureStreak {
  failures: number;
  /** Failures that were reported. */
  reported: number;
  /** When the first failure began. */
  readonly since: number;
  /** Failures in a row that count towards opening the circuit. */
  down: number;
  downSince: number;
  reportedAt: number;
  reportEveryMs: number;
  askedToOpenAt: number;
}

interface RecoveryReport {
  readonly subscriptionId: number;
  readonly recovery: 'well' | 'answers';
}

type Report = FailureReport | RecoveryReport;

/** A subscription whose reports could not be written. */
interface Unwritten {
  readonly failures: number;
  readonly notBefore: number;
}

const recoveriesOf = (group: readonly Report[], kind: RecoveryReport['recovery']) =>
  group.filter(
    (report): report is RecoveryReport => 'recovery' in report && report.recovery === kind,
  );

/**
 * Detects receivers that are down. It counts failures in a row in this process, and reports a
 * subscription to the database from the third failure on, so that healthy receivers cost nothing. The
 * database adds up what all processes report. The success that ends a streak may come in any process: the
 * subscription cache knows which fail.
 */
export function createCircuits(options: CircuitsOptions): Circuits {
  const { pool, subscriptions, patience, policy, disableAfterMs, onClosed, log } = options;
  const { loop, ending, now = () => performance.now() } = options;
  const failing = new Map<number, FailureStreak>();
  // Circuits that were open when the policy was switched off are still probed.
  const { probeMs, maxMs } = policy ?? DEFAULT_CIRCUIT_POLICY;
  const times = {
    openFailures: policy?.failures ?? null,
    openOverMs: policy?.overMs ?? 0,
    firstProbeMs: probeMs,
    maxProbeMs: maxMs,
    disableAfterMs,
  };

  /** Subscriptions whose reports could not be written. */
  const unwritten = new Map<number, Unwritten>();

  const reports = createGroupCommit<Report, unknown>({
    concurrency: 1,
    maxItems: MAX_GROUP,
    async run(group) {
      const failures = group.filter((report): report is FailureReport => !('recovery' in report));
      const parts = [
        await isolate(failures, writeFailures, mayBeOfRows),
        await isolate(recoveriesOf(group, 'answers'), close(reportAnswers), mayBeOfRows),
        await isolate(recoveriesOf(group, 'well'), close(reportSuccesses), mayBeOfRows),
      ];
      const errors = new Map<Report, unknown>(
        parts.flatMap(({ errors }): [Report, unknown][] => [...errors]),
      );
      const [first] = errors;
      if (first !== undefined) loop.failed(first[1], { subscriptionId: first[0].subscriptionId });
      return errorsOf(group, {
        errors,
        untried: parts.flatMap(({ untried }): Report[] => [...untried]),
      });
    },
  });

  /**
   * Writes a report. Attempts are recorded also when this fails; the next failure or success reports
   * again, after a growing pause. A probe waits for that pause too: since the next probe could not be
   * put off, it would follow at once.
   */
  async function write(report: Report, probe: boolean): Promise<void> {
    const { subscriptionId: id } = report;
    const error = await reports.add(report).catch((error: unknown) => error);
    if (error === undefined) {
      unwritten.delete(id);
      if (unwritten.size === 0) loop.succeeded();
      return;
    }
    const failures = (unwritten.get(id)?.failures ?? 0) + 1;
    const pauseMs = pauseAfter(failures + 1, MAX_UNWRITTEN_PAUSE_MS);
    unwritten.delete(id);
    if (unwritten.size >= MAX_FAILING) unwritten.delete(unwritten.keys().next().value as number);
    unwritten.set(id, { failures, notBefore: now() + pauseMs });
    if (probe) await sleep(pauseMs, undefined, { signal: ending }).catch(() => {});
  }

  async function writeFailures(failures: FailureReport[]): Promise<void> {
    const { opened, disabled } = await patience(
      () => reportFailures(pool, failures, times),
      loop,
      MAX_TIMEOUTS,
    );
    for (const { subscriptionId } of failures) subscriptions.drop(subscriptionId);
    for (const subscriptionId of opened)
      log.warn({ subscriptionId }, 'opened the circuit: only probes are sent');
    for (const subscriptionId of disabled)
      log.warn({ subscriptionId }, 'disabled the subscription');
  }

  function close(report: typeof reportSuccesses): (reports: RecoveryReport[]) => Promise<void> {
    return async (reports) => {
      const ids = [...new Set(reports.map(({ subscriptionId }) => subscriptionId))];
      const closed = await patience(() => report(pool, ids), loop, MAX_TIMEOUTS);
      for (const id of ids) subscriptions.drop(id);
      for (const subscriptionId of closed) {
        onClosed(subscriptionId);
        log.info({ subscriptionId }, 'closed the circuit');
      }
    };
  }

  /** A report that failed just now is not tried again with each attempt. */
  const mustWait = (id: number) => (unwritten.get(id)?.notBefore ?? 0) > now();

  function observe(subscription: CachedSubscription, end: AttemptEnd): Promise<void> | undefined {
    const { receiverHealth, probe } = end;
    const { id: subscriptionId } = subscription;
    if (receiverHealth === 'unread') return undefined;
    const mayWrite = probe || !mustWait(subscriptionId);
    if (receiverHealth === 'well') {
      if (failing.size > 0) failing.delete(subscriptionId);
      if (!subscription.failing || !mayWrite) return undefined;
      return write({ subscriptionId, recovery: 'well' }, probe);
    }
    const answers =
      receiverHealth === 'refused' && subscription.circuitOpen && mayWrite
        ? write({ subscriptionId, recovery: 'answers' }, probe)
        : undefined;
    const report = failed(subscription, end, mayWrite);
    const reportWritten = report && write(report, probe);
    return answers === undefined
      ? reportWritten
      : Promise.all([answers, reportWritten]).then(() => {});
  }

  /** Counts a failure. Returns the report that is due, if any. */
  function failed(
    { id, circuitOpen, failing: isFailing }: CachedSubscription,
    { receiverHealth, durationMs, probe, pauseMs, errorCode, error }: AttemptEnd,
    mayWrite: boolean,
  ): FailureReport | undefined {
    const at = now();
    const known = failing.get(id);
    // It was reported and no longer counts as failing: an attempt succeeded in another process.
    const endedElsewhere =
      known !== undefined && !isFailing && known.reported > 0 && at - known.reportedAt > NEWS_MS;
    const streak = (endedElsewhere ? undefined : known) ?? {
      failures: 0,
      reported: 0,
      since: at - durationMs,
      down: 0,
      downSince: 0,
      reportedAt: Number.NEGATIVE_INFINITY,
      reportEveryMs: REPORT_EVERY_MS,
      askedToOpenAt: Number.NEGATIVE_INFINITY,
    };
    if (streak !== known) {
      if (failing.size >= MAX_FAILING) failing.delete(failing.keys().next().value as number);
      failing.set(id, streak);
    }
    streak.failures += 1;
    if (receiverHealth === 'down') {
      if (streak.down === 0) streak.downSince = at - durationMs;
      streak.down += 1;
    } else if (receiverHealth === 'refused' || receiverHealth === 'gone') {
      streak.down = 0;
    }
    const open =
      policy !== null && streak.down >= policy.failures && at - streak.downSince >= policy.overMs;
    const pause = policy !== null && pauseMs !== undefined && pauseMs > 0;
    // Asked once a second until the cache knows that the circuit is open.
    const asksToOpen =
      (open || pause) && !circuitOpen && at - streak.askedToOpenAt >= REPORT_EVERY_MS;
    const goesOn =
      streak.failures >= (isFailing ? 1 : WRITE_DOWN_AFTER) &&
      at - streak.reportedAt >= streak.reportEveryMs;
    if (!mayWrite || (!asksToOpen && !goesOn && !probe && receiverHealth !== 'gone'))
      return undefined;
    if (asksToOpen) streak.askedToOpenAt = at;
    if (streak.reported > 0)
      streak.reportEveryMs = Math.min(streak.reportEveryMs * 2, REPORT_AT_LEAST_EVERY_MS);
    streak.reportedAt = at;
    const failures = streak.failures - streak.reported;
    streak.reported = streak.failures;
    return {
      subscriptionId: id,
      failures,
      sinceMs: at - streak.since,
      down: Math.min(streak.down, failures),
      downMs: streak.down === 0 ? 0 : at - streak.downSince,
      open,
      pauseMs: pause ? Math.min(pauseMs, MAX_PAUSE_MS) : null,
      probe: probe && receiverHealth !== 'refused',
      gone: receiverHealth === 'gone',
      errorCode,
      error,
    };
  }

  return { observe };
}
