import type pg from 'pg';
import type { Logger } from 'pino';
import type { Patience } from '../db/patience.ts';
import { createGroupCommit } from '../lib/group-commit.ts';
import { createSlots } from '../lib/slots.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { VERSION } from '../version.ts';
import { nextDelayMs, parseRetryAfter, type RetrySchedule } from './backoff.ts';
import { type DeliveryKeys, loadOwed, type OwedDelivery } from './claim.sql.ts';
import {
  classifyAnswer,
  classifyFailure,
  InvalidSubscriptionError,
  type Verdict,
} from './classify.ts';
import type { HttpAnswer, HttpClient } from './http-client.ts';
import { createPace } from './pace.ts';
import { type AttemptResult, cancelDeliveries } from './record.sql.ts';
import type { Recorder } from './recorder.ts';
import { requeue } from './requeue.sql.ts';
import { hubSignature, standardSignature } from './sign.ts';

/** Bodies in memory at once, so that large ones take turns. */
const MAX_IN_FLIGHT_BYTES = 64 * 1024 * 1024;
export const LOAD_CONNECTIONS = 2;
const MAX_LOAD = 500;

/** What a `deliver` job says: which deliveries to wake, and which attempt of theirs is due. */
export interface DeliverJob extends DeliveryKeys {
  readonly attempt: number;
  /** Of their bodies together. */
  readonly bytes: number;
}

export interface DelivererOptions {
  readonly pool: pg.Pool;
  readonly subscriptions: SubscriptionCache;
  readonly client: HttpClient;
  readonly recorder: Recorder;
  readonly patience: Patience;
  readonly schedule: RetrySchedule;
  readonly timeoutMs: number;
  readonly maxInFlight: number;
  readonly log: Logger;
  /** Told of each attempt that was made, for metrics. */
  readonly onAttempt?: (result: AttemptResult) => void;
  readonly random?: () => number;
  readonly now?: () => number;
}

export interface Deliverer {
  /**
   * Makes the attempts that a job names and records them. A delivery that has moved on since the
   * job was made is passed over: its job is stale.
   *
   * @param signal when it aborts, requests under way are ended; those deliveries are due again at
   *   once, without having used up an attempt.
   */
  deliver(job: DeliverJob, signal: AbortSignal): Promise<void>;
  /** From now on, jobs that have not begun are handed back. */
  stopBeginning(): void;
  readonly inFlight: number;
}

/** The courier: from a job to recorded attempts. */
export function createDeliverer(options: DelivererOptions): Deliverer {
  const { pool, subscriptions, client, recorder, patience, schedule, timeoutMs, maxInFlight, log } =
    options;
  const { onAttempt = () => {}, random = Math.random, now = Date.now } = options;
  const slots = createSlots(maxInFlight, MAX_IN_FLIGHT_BYTES);
  const pace = createPace(slots, maxInFlight);
  let stopping = false;

  const loads = createGroupCommit<DeliveryKeys, OwedDelivery[]>({
    concurrency: LOAD_CONNECTIONS,
    maxItems: MAX_LOAD,
    weigh: ({ webhooks }) => webhooks.length,
    maxWeight: MAX_LOAD,
    run: async (asked) => {
      const keys = {
        webhooks: asked.flatMap(({ webhooks }) => webhooks),
        subscriptions: asked.flatMap(({ subscriptions }) => subscriptions),
      };
      const owed = await patience(() => loadOwed(pool, keys));
      const byKey = new Map(
        owed.map((delivery) => [keyOf(delivery.webhookId, delivery.subscriptionId), delivery]),
      );
      return asked.map(({ webhooks, subscriptions }) =>
        webhooks.flatMap(
          (webhookId, index) => byKey.get(keyOf(webhookId, subscriptions[index] as number)) ?? [],
        ),
      );
    },
  });

  async function deliver(job: DeliverJob, signal: AbortSignal): Promise<void> {
    const count = job.webhooks.length;
    pace.watch();
    await slots.acquire(count, job.bytes);
    let released = 0;
    const releaseOne = () => {
      released += 1;
      // The bytes go back with the last one: they are of the job, and jobs are short.
      slots.release(1, released === count ? job.bytes : 0);
    };
    try {
      if (stopping) return await requeue(pool, job);
      const owed = (await loads.add(job)).filter(
        ({ attemptCount }) => attemptCount === job.attempt - 1,
      );
      const unfinished: OwedDelivery[] = [];
      const outcomes = await Promise.allSettled(
        owed.map(async (delivery) => {
          const done = await attempt(delivery, signal, releaseOne);
          if (!done) unfinished.push(delivery);
        }),
      );
      if (unfinished.length > 0) {
        await requeue(pool, {
          attempt: job.attempt,
          bytes: unfinished.reduce((sum, { body }) => sum + body.length, 0),
          webhooks: unfinished.map(({ webhookId }) => webhookId),
          subscriptions: unfinished.map(({ subscriptionId }) => subscriptionId),
        });
      }
      // The queue tries the job again; the deliveries that were recorded will be passed over.
      const failure = outcomes.find(({ status }) => status === 'rejected');
      if (failure !== undefined) throw (failure as PromiseRejectedResult).reason;
    } finally {
      while (released < count) releaseOne();
    }
  }

  /** Returns false when the attempt was ended by the signal, and so did not count. */
  async function attempt(
    delivery: OwedDelivery,
    signal: AbortSignal,
    releaseSlot: () => void,
  ): Promise<boolean> {
    const subscription = await patience(() => subscriptions.get(delivery.subscriptionId));
    if (subscription === null) {
      await cancelDeliveries(pool, [delivery]);
      return true;
    }
    if (signal.aborted) return false;
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
      if (signal.aborted) return false;
      verdict = classifyFailure(error, timeoutMs);
    } finally {
      releaseSlot();
    }
    const attemptNumber = delivery.attemptCount + 1;
    const retryInMs = verdict.retry
      ? nextDelayMs(schedule, attemptNumber, random(), parseRetryAfter(answer?.retryAfter, now()))
      : null;
    const result: AttemptResult = {
      webhookId: delivery.webhookId,
      subscriptionId: delivery.subscriptionId,
      attemptNumber,
      status: verdict.status,
      responseCode: answer?.statusCode ?? null,
      errorCode: verdict.errorCode,
      error: verdict.error,
      durationMs: Math.round(performance.now() - startedAt),
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

  return {
    deliver,
    stopBeginning() {
      stopping = true;
      pace.stop();
    },
    get inFlight() {
      return slots.used;
    },
  };
}

function keyOf(webhookId: string, subscriptionId: number): string {
  return `${webhookId}.${subscriptionId}`;
}

function headersOf(
  { webhookId, contentType, body }: OwedDelivery,
  { key }: CachedSubscription,
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
  if (key !== null) {
    headers.push('webhook-signature', standardSignature(key, webhookId, timestamp, body));
    headers.push('x-hub-signature-256', hubSignature(key, body));
  }
  return headers;
}
