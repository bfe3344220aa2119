import type pg from 'pg';
import type { Logger } from 'pino';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { AttemptStatus } from '../db/types.ts';
import { cancelOne } from '../deliveries/cancel.sql.ts';
import type { OwedDelivery } from '../deliveries/load.sql.ts';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import { nextDelayMs, parseRetryAfter, type RetrySchedule } from '../deliveries/retry-schedule.ts';
import type { Circuits } from '../health/circuits.ts';
import type { HttpAnswer } from '../http/answer-reader.ts';
import type { HttpClient } from '../http/http-client.ts';
import { createPhaseClock } from '../http/phase-clock.ts';
import { storableText } from '../lib/storable-text.ts';
import type { CachedSubscription, SubscriptionCache } from '../subscriptions/cache.ts';
import { readAs } from '../subscriptions/policy.ts';
import { isOnlyTrace, replaceTrace, storedTraceOf, traceIdOf } from '../tracing/trace-context.ts';
import type { AttemptSpan, Tracing } from '../tracing/tracing.ts';
import { VERSION } from '../version.ts';
import {
  classifyAnswer,
  classifyFailure,
  InvalidSubscriptionError,
  receiverHealthOf,
  UnreadablePayloadError,
  type Verdict,
} from './classify.ts';
import type { LargeBodies, TakenBody } from './large-bodies.ts';
import type { Recorder } from './recorder.ts';

const USER_AGENT = `Posthorn/${VERSION}`;
/** A message may contain text from the receiver: a certificate may name thousands of hosts. */
const MAX_ERROR_CHARS = 1_000;
/** Answers whose `Retry-After` is about the receiver, and not about this delivery alone. */
const PAUSE_RECEIVER = new Set<number | undefined>([429, 503]);

/** An attempt that was recorded. */
export interface MadeAttempt extends AttemptResult {
  /** From the time at which it was due to the start of its request. */
  readonly waitedMs: number;
  readonly from: Origin['from'];
}

export interface CourierOptions {
  readonly pool: pg.Pool;
  readonly subscriptions: SubscriptionCache;
  readonly client: HttpClient;
  readonly largeBodies: LargeBodies;
  readonly recorder: Recorder;
  readonly circuits: Circuits;
  readonly patience: Patience;
  /** For subscriptions that have no schedule of their own; `timeoutMs` likewise. */
  readonly schedule: RetrySchedule;
  readonly timeoutMs: number;
  readonly log: Logger;
  /** Undefined: traces are not exported. */
  readonly tracing?: Tracing | undefined;
  /** Called after each attempt, for metrics. */
  readonly onAttempt?: (attempt: MadeAttempt) => void;
  readonly random?: () => number;
  readonly now?: () => number;
}

/**
 * The outcome of an attempt: the result that was recorded, or why none was. `cancelled`: the
 * subscription was deleted. `hold`: the delivery came by the queue and has to go through the backlog.
 * `untouched`: no request was made, and the delivery is unchanged. `taken`: another worker may have it.
 * `unrecorded`: it was sent before, and the result of that attempt waits to be recorded.
 */
export type Outcome = AttemptResult | 'cancelled' | 'hold' | 'untouched' | 'taken' | 'unrecorded';

/** Called just before the request of a held delivery; returns whether it may still be made. */
export type MayBegin = (subscription: CachedSubscription) => boolean;

/** Returns whether no other worker can have taken a delivery that came by the queue or from intake. */
export type IsOurs = () => boolean;

/** From where a delivery comes, and what is asked just before its request. */
export type Origin =
  | { readonly from: 'queue'; readonly isOurs: IsOurs; readonly bulk: boolean }
  | { readonly from: 'backlog'; readonly mayBegin: MayBegin };

export interface Courier {
  /**
   * Makes one attempt of a delivery and records it.
   *
   * @param signal when it aborts, the request is ended, and the attempt does not count.
   * @param onSent called as soon as the request has ended, before it is recorded: with its status, or
   *   null when none was made. Not called when this rejects before that.
   * @param origin from a backlog, while the subscription's circuit is open, the attempt is a probe: if it
   *   fails, the delivery stays held and uses up no attempt of its schedule.
   */
  attempt(
    delivery: OwedDelivery,
    signal: AbortSignal,
    onSent: (status: AttemptStatus | null, durationMs: number) => void,
    origin: Origin,
  ): Promise<Outcome>;
}

/** From a delivery to a recorded attempt: sign, post, classify, back off. */
export function createCourier(options: CourierOptions): Courier {
  const { pool, subscriptions, client, largeBodies, recorder, circuits, patience, log } = options;
  const { tracing, onAttempt = () => {}, random = Math.random, now = Date.now } = options;

  async function attempt(
    delivery: OwedDelivery,
    signal: AbortSignal,
    onSent: (status: AttemptStatus | null, durationMs: number) => void,
    origin: Origin,
  ): Promise<Outcome> {
    const { webhookId, subscriptionId } = delivery;
    const mayBegin = origin.from === 'backlog' ? origin.mayBegin : undefined;
    let subscription = await findSubscription(subscriptionId);
    if (subscription === null) {
      onSent(null, 0);
      await cancelOne(pool, delivery.webhookId, subscriptionId);
      return 'cancelled';
    }
    // While its result waits, its job counts as lost after some time, and another job comes here.
    if (recorder.isUnrecorded(subscriptionId, delivery.webhookId)) {
      onSent(null, 0);
      return 'unrecorded';
    }
    // The job is older than the subscription's change, or another process had not heard of it.
    if (mayBegin === undefined && subscription.throughBacklog) {
      onSent(null, 0);
      return 'hold';
    }
    let payload: Pick<OwedDelivery, 'body' | 'ownBody' | 'problem'> & Partial<TakenBody> = delivery;
    if (delivery.body === null && delivery.problem === null) {
      const loaded = await largeBodies.take(delivery, signal);
      if (loaded === null) {
        onSent(null, 0);
        return 'untouched';
      }
      payload = loaded;
      // Loading may have waited long; the subscription may have changed.
      subscription = (await findSubscription(subscriptionId)) ?? subscription;
    }
    if (origin.from === 'queue' && !origin.isOurs()) {
      payload.release?.();
      onSent(null, 0);
      return 'taken';
    }
    if (signal.aborted || mayBegin?.(subscription) === false) {
      payload.release?.();
      onSent(null, 0);
      return 'untouched';
    }
    // The result could not be recorded, so the webhook would be sent twice.
    if (!recorder.hasRoom(subscriptionId)) {
      onSent(null, 0);
      return mayBegin === undefined ? 'hold' : 'untouched';
    }
    const timeoutMs = subscription.timeoutMs ?? options.timeoutMs;
    const schedule = subscription.schedule ?? options.schedule;
    const probe = mayBegin !== undefined && subscription.circuitOpen;
    const { url } = subscription;
    // Its receiver pulls. All its deliveries are held, and no worker owns its backlog.
    if (url === null) {
      payload.release?.();
      onSent(null, 0);
      return mayBegin === undefined ? 'hold' : 'untouched';
    }
    const { bytes } = delivery;
    const clock = createPhaseClock();
    const timestamp = Math.floor(now() / 1000);
    const waitedMs = Math.max(0, performance.now() - delivery.dueAt);
    const attemptNumber = delivery.attemptCount + 1;
    let span: AttemptSpan | null = null;
    let answer: HttpAnswer | undefined;
    let verdict: Verdict;
    try {
      if (subscription.problem !== null) throw new InvalidSubscriptionError(subscription.problem);
      const { body, ownBody, problem } = payload;
      if (body === null) throw new UnreadablePayloadError(problem ?? 'it has no body');
      const stored = tracing === undefined ? null : storedTraceOf(delivery.sourceHeaders);
      span =
        tracing?.beginAttempt({
          ...{ webhookId, subscriptionId, attemptNumber, waitedMs, stored, bytes },
          tenant: subscription.tenant,
          url,
        }) ?? null;
      const sourceHeaders =
        span === null ? delivery.sourceHeaders : replaceTrace(delivery.sourceHeaders, span.context);
      answer = await client.post({
        url,
        owner: subscription.tenant,
        headers: headersOf({ ...delivery, sourceHeaders, body }, subscription, timestamp),
        body,
        ownBody,
        timeoutMs,
        signal,
        clock,
      });
      verdict = classifyAnswer(answer);
    } catch (error) {
      if (signal.aborted) {
        onSent(null, 0);
        return 'untouched';
      }
      verdict = classifyFailure(error, timeoutMs);
    } finally {
      payload.release?.();
    }
    span?.sent(answer?.statusCode, verdict.errorCode);
    const error = verdict.error === null ? null : storableText(verdict.error, MAX_ERROR_CHARS);
    const durationMs = clock.elapsed();
    const receiverHealth = receiverHealthOf(verdict, answer?.statusCode);
    onSent(receiverHealth === 'unread' ? null : verdict.status, durationMs);
    const retryAfterMs = parseRetryAfter(answer?.retryAfter, now());
    const staysHeld = probe && receiverHealth === 'down';
    const retryInMs =
      verdict.retry && !staysHeld
        ? nextDelayMs(
            schedule,
            attemptNumber - delivery.scheduleOffset - delivery.probeCount,
            random(),
            retryAfterMs,
          )
        : null;
    const roundedMs = Math.round(durationMs);
    const result: AttemptResult = {
      webhookId: delivery.webhookId,
      subscriptionId: delivery.subscriptionId,
      attemptNumber,
      status: verdict.status,
      responseCode: answer?.statusCode ?? null,
      errorCode: verdict.errorCode,
      error,
      durationMs: roundedMs,
      phases: clock.read(roundedMs),
      timestamp,
      responseExcerpt: answer?.excerpt ?? null,
      state: staysHeld ? 'held' : stateAfter(verdict, retryInMs, subscription),
      retryInMs,
      bytes,
      bulk: origin.from === 'queue' && origin.bulk,
    };
    const circuitUpdate = circuits.observe(subscription, {
      receiverHealth,
      durationMs,
      probe,
      pauseMs: PAUSE_RECEIVER.has(answer?.statusCode) ? retryAfterMs : undefined,
      errorCode: verdict.errorCode,
      error,
    });
    // The circuit's state is committed before the subscription's next delivery is chosen.
    const recorded = recorder.record(result, mayBegin !== undefined);
    await (circuitUpdate === undefined ? recorded : Promise.all([recorded, circuitUpdate]));
    span?.end(result);
    onAttempt({ ...result, waitedMs, from: origin.from });
    if (log.isLevelEnabled('debug')) {
      const { status, responseCode, errorCode, durationMs, state } = result;
      const trace = span?.context ?? storedTraceOf(delivery.sourceHeaders);
      log.debug(
        {
          trace_id: traceIdOf(trace),
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
    return result;
  }

  async function findSubscription(subscriptionId: number): Promise<CachedSubscription | null> {
    const known = subscriptions.peek(subscriptionId);
    return known === undefined ? await patience(() => subscriptions.get(subscriptionId)) : known;
  }

  return { attempt };
}

/** In strict order a delivery that is retried stays held, so that those behind it wait. */
function stateAfter(
  { status }: Verdict,
  retryInMs: number | null,
  { ordering }: CachedSubscription,
): AttemptResult['state'] {
  if (status === 'success') return 'succeeded';
  if (retryInMs === null) return 'failed';
  return ordering === 'strict' ? 'held' : 'pending';
}

/**
 * Builds the headers of one request: names and values in turn.
 *
 * @param timestamp whole seconds since the epoch.
 */
export function headersOf(
  {
    webhookId,
    contentType,
    sourceHeaders,
    body,
  }: Pick<OwedDelivery, 'webhookId' | 'contentType' | 'sourceHeaders'> & { readonly body: Buffer },
  { signer, headers: custom }: Pick<CachedSubscription, 'signer' | 'headers'>,
  timestamp: number,
): string[] {
  const headers = [
    'content-type',
    contentType,
    'accept-encoding',
    'identity',
    'webhook-id',
    webhookId,
    'webhook-timestamp',
    String(timestamp),
  ];
  if (custom.length === 0 || !namesUserAgent(custom)) headers.push('user-agent', USER_AGENT);
  if (custom.length > 0) headers.push(...custom);
  signer?.addHeaders(headers, webhookId, timestamp, body);
  if (sourceHeaders === null) return headers;
  // Most webhooks with a trace have no other headers, and normalizing names costs more than the rest of the request.
  if (custom.length === 0 && isOnlyTrace(sourceHeaders)) headers.push(...sourceHeaders);
  else addSourceHeaders(headers, sourceHeaders);
  return headers;
}

/** Adds the headers of the source whose names, as receivers read them, are not there yet. */
function addSourceHeaders(headers: string[], sourceHeaders: readonly string[]): void {
  const taken = new Set(headers.filter((_, at) => at % 2 === 0).map(readAs));
  for (let at = 0; at < sourceHeaders.length; at += 2) {
    const [name, value] = sourceHeaders.slice(at, at + 2) as [string, string];
    if (!taken.has(readAs(name))) headers.push(name, value);
  }
}

function namesUserAgent(headers: readonly string[]): boolean {
  return headers.some((name, at) => at % 2 === 0 && readAs(name) === 'user-agent');
}
