import type { MailSettings } from '../config/mail.ts';
import type { AttemptStatus } from '../db/types.ts';
import type { AnswerHeaders } from '../http/answer-head.ts';
import type { ConnectorOptions } from '../http/connector.ts';
import { createHttpClient } from '../http/http-client.ts';
import { createPhaseClock, type PhaseClock, type PhaseTimes } from '../http/phase-clock.ts';
import { mayTake } from '../lib/fair-share.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import { classifyAnswer, classifyFailure, InvalidSubscriptionError } from './classify.ts';
import { headersOf } from './courier.ts';
import { createMailer, withMailer } from './mailer.ts';

/** How long each phase took, in milliseconds with one digit after the point. See `PhaseTimes`. */
export interface TestTiming extends Omit<PhaseTimes, 'firstByte'> {
  readonly first_byte: number | null;
  readonly total: number;
}

/** An answer, of which the body may not have come in full. */
export interface TestAnswer {
  readonly statusCode: number;
  readonly headers: AnswerHeaders;
  /** The first KiB of the body; null where there was none. */
  readonly excerpt: string | null;
}

/** The result of sending one webhook to a receiver. */
export interface TestResult {
  readonly status: AttemptStatus;
  readonly errorCode: string | null;
  readonly error: string | null;
  /** Null when none came. */
  readonly answer: TestAnswer | null;
  readonly timing: TestTiming;
}

/** A subscription with a URL. */
export interface SentSubscription extends CachedSubscription {
  readonly url: URL;
}

export interface TestWebhook {
  /** The id in the webhook's headers. Nothing of a test webhook is stored. */
  readonly webhookId: string;
  readonly contentType: string;
  readonly body: Buffer;
}

export interface TestSender {
  /**
   * Sends one webhook to a subscription now, guarded, signed and bounded as a delivery is, on a
   * connection of its own, so that each phase can be told.
   *
   * @returns the result, or null while there are too many tests in flight, of all tenants or of this one.
   */
  send(webhook: TestWebhook, subscription: SentSubscription): Promise<TestResult | null>;
  /** Ends the tests under way. */
  stop(): void;
}

/** @param maxAtOnce bound on tests under way: each is a connection that a caller waits for. */
export function createTestSender(
  options: ConnectorOptions,
  maxAtOnce: number,
  mail?: MailSettings,
): TestSender {
  const ending = new AbortController();
  let underWay = 0;
  const underWayByTenant = new Map<string, number>();

  async function send(webhook: TestWebhook, subscription: SentSubscription): Promise<TestResult> {
    const timeoutMs = subscription.timeoutMs ?? options.timeoutMs;
    const clock = createPhaseClock();
    const client = withMailer(createHttpClient({ ...options, timeoutMs }), createMailer(mail));
    let headers: AnswerHeaders = {};
    try {
      if (subscription.problem !== null) throw new InvalidSubscriptionError(subscription.problem);
      const answer = await client.post({
        url: subscription.url,
        owner: subscription.tenant,
        headers: headersOf(
          { ...webhook, sourceHeaders: null },
          subscription,
          Math.floor(Date.now() / 1000),
        ),
        body: webhook.body,
        timeoutMs,
        signal: ending.signal,
        clock,
        onHead(_statusCode, received) {
          headers = received;
        },
      });
      const { statusCode, excerpt } = answer;
      return {
        ...classifyAnswer(answer),
        answer: { statusCode, headers, excerpt },
        timing: timingOf(clock),
      };
    } catch (error) {
      const verdict = classifyFailure(error, timeoutMs);
      return { ...verdict, answer: null, timing: timingOf(clock) };
    } finally {
      await client.close();
    }
  }

  function count(tenant: string, change: 1 | -1): void {
    underWay += change;
    const own = (underWayByTenant.get(tenant) ?? 0) + change;
    if (own === 0) underWayByTenant.delete(tenant);
    else underWayByTenant.set(tenant, own);
  }

  return {
    async send(webhook, subscription) {
      const { tenant } = subscription;
      const own = underWayByTenant.get(tenant) ?? 0;
      if (!mayTake(1, own, underWay, maxAtOnce)) return null;
      count(tenant, 1);
      try {
        return await send(webhook, subscription);
      } finally {
        count(tenant, -1);
      }
    },
    stop: () => ending.abort(new Error('the service is stopping')),
  };
}

function timingOf(clock: PhaseClock): TestTiming {
  const total = Math.round(clock.elapsed() * 10) / 10;
  const { firstByte, ...phases } = clock.read(total, 0.1);
  return { ...phases, first_byte: firstByte, total };
}
