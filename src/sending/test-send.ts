import type { AttemptStatus } from '../db/types.ts';
import type { AnswerHeaders } from '../http/answer-head.ts';
import type { ConnectorOptions } from '../http/connector.ts';
import { createHttpClient } from '../http/http-client.ts';
import { lookupByTurns, type Resolve } from '../http/lookups.ts';
import { mayTake } from '../lib/fair-share.ts';
import type { CachedSubscription } from '../subscriptions/cache.ts';
import { classifyAnswer, classifyFailure, InvalidSubscriptionError } from './classify.ts';
import { headersOf } from './courier.ts';

/** Milliseconds of each phase that was reached; null for those that were not, or cannot be told apart. */
export interface TestTiming {
  /** Until the name was resolved. */
  readonly dns: number | null;
  /** From there until TCP was connected; through an egress proxy, until all of the connection was. */
  readonly connect: number | null;
  readonly tls: number | null;
  /** From the connection until the answer's headers had come. */
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
  send(webhook: TestWebhook, subscription: CachedSubscription): Promise<TestResult | null>;
  /** Ends the tests under way. */
  stop(): void;
}

/** @param maxAtOnce bound on tests under way: each is a connection that a caller waits for. */
export function createTestSender(options: ConnectorOptions, maxAtOnce: number): TestSender {
  const ending = new AbortController();
  let underWay = 0;
  const underWayByTenant = new Map<string, number>();

  async function send(webhook: TestWebhook, subscription: CachedSubscription): Promise<TestResult> {
    const timeoutMs = subscription.timeoutMs ?? options.timeoutMs;
    const clock = createPhaseClock();
    const lookup: Resolve = (...asked) => lookupByTurns(subscription.tenant, ...asked);
    const resolve = options.resolve ?? lookup;
    const client = createHttpClient({
      ...options,
      timeoutMs,
      resolve: (hostname, how, callback) => {
        resolve(hostname, how, (error, addresses) => {
          clock.mark('dns');
          callback(error, addresses);
        });
      },
      watch: {
        socket: (socket) => socket.once('connect', () => clock.mark('connect')),
        connected: () => clock.mark(clock.has('connect') ? 'tls' : 'connect'),
      },
    });
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
        signal: ending.signal,
        onHead(_statusCode, received) {
          clock.mark('first_byte');
          headers = received;
        },
      });
      const { statusCode, excerpt } = answer;
      return {
        ...classifyAnswer(answer),
        answer: { statusCode, headers, excerpt },
        timing: clock.read(subscription.url),
      };
    } catch (error) {
      const verdict = classifyFailure(error, timeoutMs);
      return { ...verdict, answer: null, timing: clock.read(subscription.url) };
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

type Phase = 'dns' | 'connect' | 'tls' | 'first_byte';

/** Notes when phases end, each once: a second connection attempt does not start the clock again. */
function createPhaseClock() {
  const startedAt = performance.now();
  const ends = new Map<Phase, number>();
  return {
    has: (phase: Phase) => ends.has(phase),
    mark(phase: Phase) {
      if (!ends.has(phase)) ends.set(phase, performance.now());
    },
    read(url: URL): TestTiming {
      let from = startedAt;
      const took = (phase: Phase) => {
        const end = ends.get(phase);
        if (end === undefined) return null;
        const tookMs = round(end - from);
        from = end;
        return tookMs;
      };
      const [dns, connect] = [took('dns'), took('connect')];
      // Without TLS, connected and usable are one moment.
      const tls = url.protocol === 'https:' ? took('tls') : null;
      return {
        dns,
        connect,
        tls,
        first_byte: took('first_byte'),
        total: round(performance.now() - startedAt),
      };
    },
  };
}

function round(durationMs: number): number {
  return Math.round(durationMs * 10) / 10;
}
