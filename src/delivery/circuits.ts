import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Patience } from '../db/patience.ts';
import { errorMessage } from '../lib/errors.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { type CircuitPolicy, DEFAULT_CIRCUIT_POLICY } from './circuit-policy.ts';
import {
  type FailureReport,
  reportAnswers,
  reportFailures,
  reportSuccesses,
} from './circuits.sql.ts';
import type { Sign } from './classify.ts';

/** A subscription that has failed so often in a row is written down; fewer may be chance. */
const WRITE_DOWN_AFTER = 3;
/** One that goes on failing is told of after this time, then after twice as long, and so on. */
const REPORT_EVERY_MS = 1_000;
const REPORT_AT_LEAST_EVERY_MS = 60_000;
/** By then every process has heard of what was written down. */
const NEWS_MS = 2_000;
/** A receiver that asks for more rest than this by `Retry-After` is asked again. */
const MAX_PAUSE_MS = 3_600_000;
/** Failing subscriptions that are kept in mind; the longest unchanged is forgotten first. */
const MAX_FAILING = 50_000;
/** Each may send operational webhooks, which have to find who wants them. */
const MAX_GROUP = 50;

/** How an attempt ended, as far as it says something of its receiver. */
export interface AttemptEnd {
  readonly sign: Sign;
  readonly durationMs: number;
  /** It was made to find out whether the receiver is back. */
  readonly probe: boolean;
  /** What the receiver asked for by `Retry-After`. */
  readonly pauseMs: number | undefined;
  readonly errorCode: string | null;
  readonly error: string | null;
}

export interface CircuitsOptions {
  readonly pool: pg.Pool;
  readonly subscriptions: SubscriptionCache;
  readonly patience: Patience;
  /** Null: circuits never open. */
  readonly policy: CircuitPolicy | null;
  /** Failing for so long without a success, a subscription is disabled; null: never. */
  readonly disableAfterMs: number | null;
  /** Told of subscriptions that are back, before more is sent to them. */
  readonly onClosed: (subscriptionId: number) => void;
  readonly log: Logger;
  readonly now?: () => number;
}

export interface Circuits {
  /**
   * Takes note of how an attempt ended.
   *
   * @returns a promise of what follows being committed, or undefined when nothing does.
   */
  observe(subscription: CachedSubscription, end: AttemptEnd): Promise<void> | undefined;
}

interface Failing {
  failures: number;
  /** Of these, those that were told of. */
  told: number;
  /** When the first of them began. */
  readonly since: number;
  /** Those in a row that open a circuit. */
  down: number;
  downSince: number;
  reportedAt: number;
  reportEveryMs: number;
  askedToOpenAt: number;
}

type Report =
  | FailureReport
  | { readonly subscriptionId: number; readonly back: 'well' | 'answers' };

/**
 * Notices receivers that are down. As long as all is well it writes nothing: it counts failures in
 * a row, in this process, and the database hears of a subscription from the third one on. The
 * success that ends it may come in any process, since the cache of subscriptions knows which fail.
 */
export function createCircuits(options: CircuitsOptions): Circuits {
  const { pool, subscriptions, patience, policy, disableAfterMs, onClosed, log } = options;
  const { now = () => performance.now() } = options;
  const failing = new Map<number, Failing>();
  // Circuits that were open when they were switched off are probed on.
  const { probeMs, maxMs } = policy ?? DEFAULT_CIRCUIT_POLICY;
  const times = { firstProbeMs: probeMs, maxProbeMs: maxMs, disableAfterMs };

  const reports = createGroupCommit<Report, void>({
    concurrency: 1,
    maxItems: MAX_GROUP,
    async run(group) {
      try {
        await report(group);
      } catch (error) {
        // Attempts are recorded all the same; the next failure, or success, tells of it again. Not at
        // once: a probe that could not be put off would be followed by the next.
        log.error({ reason: errorMessage(error) }, 'it could not be written down who fails');
        await sleep(REPORT_EVERY_MS);
      }
      return [];
    },
  });

  async function report(group: readonly Report[]): Promise<void> {
    const failures = group.filter((one): one is FailureReport => !('back' in one));
    if (failures.length > 0) {
      const { opened, disabled } = await patience(() => reportFailures(pool, failures, times));
      for (const { subscriptionId } of failures) subscriptions.drop(subscriptionId);
      for (const subscriptionId of opened)
        log.warn({ subscriptionId }, 'its circuit is open: only probes are sent');
      for (const subscriptionId of disabled)
        log.warn({ subscriptionId }, 'the subscription was disabled');
    }
    const closed = [
      ...(await close(group, 'answers', reportAnswers)),
      ...(await close(group, 'well', reportSuccesses)),
    ];
    for (const subscriptionId of closed) {
      onClosed(subscriptionId);
      log.info({ subscriptionId }, 'its circuit is closed');
    }
  }

  async function close(
    group: readonly Report[],
    back: 'well' | 'answers',
    report: typeof reportSuccesses,
  ): Promise<number[]> {
    const ids = group.filter((one) => 'back' in one && one.back === back);
    if (ids.length === 0) return [];
    const distinct = [...new Set(ids.map(({ subscriptionId }) => subscriptionId))];
    const closed = await patience(() => report(pool, distinct));
    for (const id of distinct) subscriptions.drop(id);
    return closed;
  }

  function observe(subscription: CachedSubscription, end: AttemptEnd): Promise<void> | undefined {
    const { sign } = end;
    if (sign === 'unread') return undefined;
    if (sign === 'well') {
      if (failing.size > 0) failing.delete(subscription.id);
      if (!subscription.failing) return undefined;
      return reports.add({ subscriptionId: subscription.id, back: 'well' });
    }
    const answers =
      sign === 'refused' && subscription.circuitOpen
        ? reports.add({ subscriptionId: subscription.id, back: 'answers' })
        : undefined;
    const report = failed(subscription, end);
    const reported = report && reports.add(report);
    return answers === undefined ? reported : Promise.all([answers, reported]).then(() => {});
  }

  /** Counts a failure. Returns what to tell of it, if anything. */
  function failed(
    { id, circuitOpen, failing: isFailing }: CachedSubscription,
    { sign, durationMs, probe, pauseMs, errorCode, error }: AttemptEnd,
  ): FailureReport | undefined {
    const at = now();
    const known = failing.get(id);
    // What was written down and is there no longer has succeeded, in another process.
    const over =
      known !== undefined && !isFailing && known.told > 0 && at - known.reportedAt > NEWS_MS;
    const one = (over ? undefined : known) ?? {
      failures: 0,
      told: 0,
      since: at - durationMs,
      down: 0,
      downSince: 0,
      reportedAt: Number.NEGATIVE_INFINITY,
      reportEveryMs: REPORT_EVERY_MS,
      askedToOpenAt: Number.NEGATIVE_INFINITY,
    };
    if (one !== known) {
      if (failing.size >= MAX_FAILING) failing.delete(failing.keys().next().value as number);
      failing.set(id, one);
    }
    one.failures += 1;
    if (sign === 'down') {
      if (one.down === 0) one.downSince = at - durationMs;
      one.down += 1;
    } else if (sign === 'refused' || sign === 'gone') {
      one.down = 0;
    }
    const open =
      policy !== null && one.down >= policy.failures && at - one.downSince >= policy.overMs;
    const pause = policy !== null && pauseMs !== undefined && pauseMs > 0;
    // Until the cache has heard of it, and again if it has not: what is open needs no opening.
    const asksToOpen = (open || pause) && !circuitOpen && at - one.askedToOpenAt >= REPORT_EVERY_MS;
    const goesOn = one.failures >= WRITE_DOWN_AFTER && at - one.reportedAt >= one.reportEveryMs;
    if (!asksToOpen && !goesOn && !probe && sign !== 'gone') return undefined;
    if (asksToOpen) one.askedToOpenAt = at;
    if (one.told > 0) one.reportEveryMs = Math.min(one.reportEveryMs * 2, REPORT_AT_LEAST_EVERY_MS);
    one.reportedAt = at;
    const failures = one.failures - one.told;
    one.told = one.failures;
    return {
      subscriptionId: id,
      failures,
      sinceMs: at - one.since,
      open,
      pauseMs: pause ? Math.min(pauseMs, MAX_PAUSE_MS) : null,
      probe: probe && sign !== 'refused',
      gone: sign === 'gone',
      errorCode,
      error,
    };
  }

  return { observe };
}
