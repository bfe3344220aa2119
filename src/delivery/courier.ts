import type pg from 'pg';
import type { Logger } from 'pino';
import type { Patience } from '../db/patience.ts';
import type { AttemptStatus } from '../db/types.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { VERSION } from '../version.ts';
import { nextDelayMs, parseRetryAfter, type RetrySchedule } from './backoff.ts';
import type { OwedDelivery } from './claim.sql.ts';
import {
  classifyAnswer,
  classifyFailure,
  InvalidSubscriptionError,
  type Verdict,
} from './classify.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import { type AttemptResult, cancelDeliveries } from './record.sql.ts';
import type { Recorder } from './recorder.ts';

export interface CourierOptions {
  readonly pool: pg.Pool;
  readonly subscriptions: SubscriptionCache;
  readonly client: HttpClient;
  readonly recorder: Recorder;
  readonly patience: Patience;
  readonly schedule: RetrySchedule;
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Told of each attempt that was made, for metrics. */
  readonly onAttempt?: (result: AttemptResult) => void;
  readonly random?: () => number;
  readonly now?: () => number;
}

export interface Courier {
  /**
   * Makes one attempt of a delivery and records it.
   *
   * @param signal when it aborts, the request is ended, and the attempt does not count.
   * @param sent called as soon as the request has ended, before it is recorded: with how it ended, or
   *   null when none was made. Not called when this rejects before.
   * @returns false when the signal ended it.
   */
  attempt(
    delivery: OwedDelivery,
    signal: AbortSignal,
    sent: (status: AttemptStatus | null, durationMs: number) => void,
  ): Promise<boolean>;
}

/** From a delivery to a recorded attempt: sign, post, classify, back off. */
export function createCourier(options: CourierOptions): Courier {
  const { pool, subscriptions, client, recorder, patience, schedule, timeoutMs, log } = options;
  const { onAttempt = () => {}, random = Math.random, now = Date.now } = options;

  async function attempt(
    delivery: OwedDelivery,
    signal: AbortSignal,
    sent: (status: AttemptStatus | null, durationMs: number) => void,
  ): Promise<boolean> {
    const { subscriptionId } = delivery;
    const known = subscriptions.peek(subscriptionId);
    const subscription =
      known === undefined ? await patience(() => subscriptions.get(subscriptionId)) : known;
    if (subscription === null) {
      sent(null, 0);
      await cancelDeliveries(pool, [delivery]);
      return true;
    }
    if (signal.aborted) {
      sent(null, 0);
      return false;
    }
    const startedAt = performance.now();
    let answer: HttpAnswer | undefined;
    let verdict: Verdict;
    try {
      if (subscription.problem !== null) throw new InvalidSubscriptionError(subscription.problem);
      answer = await client.post({
        url: subscription.url,
        headers: headersOf(delivery, subscription, Math.floor(now() / 1000)),
        body: delivery.body,
        signal,
      });
      verdict = classifyAnswer(answer);
    } catch (error) {
      if (signal.aborted) {
        sent(null, 0);
        return false;
      }
      verdict = classifyFailure(error, timeoutMs);
    }
    const durationMs = performance.now() - startedAt;
    sent(verdict.status, durationMs);
    const attemptNumber = delivery.attemptCount + 1;
    const retryInMs = verdict.retry
      ? nextDelayMs(
          schedule,
          attemptNumber - delivery.scheduleOffset,
          random(),
          parseRetryAfter(answer?.retryAfter, now()),
        )
      : null;
    const result: AttemptResult = {
      webhookId: delivery.webhookId,
      subscriptionId: delivery.subscriptionId,
      attemptNumber,
      status: verdict.status,
      responseCode: answer?.statusCode ?? null,
      errorCode: verdict.errorCode,
      error: verdict.error,
      durationMs: Math.round(durationMs),
      responseExcerpt: answer?.excerpt ?? null,
      state: verdict.status === 'success' ? 'succeeded' : retryInMs === null ? 'failed' : 'pending',
      retryInMs,
      bytes: delivery.body.length,
    };
    await recorder.record(result);
    onAttempt(result);
    if (log.isLevelEnabled('debug')) {
      const { webhookId, subscriptionId, status, responseCode, errorCode, durationMs, state } =
        result;
      log.debug(
        {
          webhookId,
          subscriptionId,
          attemptNumber,
          status,
          responseCode,
          errorCode,
          durationMs,
          state,
        },
        'attempt',
      );
    }
    return true;
  }

  return { attempt };
}

/**
 * The headers of one request: names and values in turn.
 *
 * @param timestamp whole seconds since the epoch.
 */
export function headersOf(
  { webhookId, contentType, body }: Pick<OwedDelivery, 'webhookId' | 'contentType' | 'body'>,
  { signer }: CachedSubscription,
  timestamp: number,
): string[] {
  const headers = [
    'content-type',
    contentType,
    'user-agent',
    `Posthorn/${VERSION}`,
    'accept-encoding',
    'identity',
    'webhook-id',
    webhookId,
    'webhook-timestamp',
    String(timestamp),
  ];
  signer?.addHeaders(headers, webhookId, timestamp, body);
  return headers;
}
