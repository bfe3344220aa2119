// Imported only if traces are exported: see tracing.ts.
import { randomUUID } from 'node:crypto';
import { SpanKind } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BatchSpanProcessor, RandomIdGenerator } from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import { VERSION } from '../version.ts';
import { watchExports } from './exports.ts';
import { createSampler } from './sampler.ts';
import { type EndedSpan, readableSpan } from './spans.ts';
import {
  formatTraceparent,
  type ParentSpan,
  parseTraceparent,
  type TraceContext,
} from './trace-context.ts';
import type {
  AttemptSpan,
  BegunAttempt,
  RequestSpan,
  Tracing,
  TracingSettings,
} from './tracing.ts';

const STOP_MS = 2_000;
/**
 * Requests and attempts that get spans, in a second of this process: of some 200 webhooks. *Measured*, the spans of a webhook
 * take 0.3 ms of CPU with their export, so this is 6 % of a core at the most. Without a bound, a sender
 * whose traceparent asks for recording would decide what tracing costs.
 */
const MAX_A_SECOND = 400;
/** From this status on, an answer of the API is an error of the service (OpenTelemetry's conventions for HTTP). */
const SERVER_ERROR = 500;

/**
 * Makes spans, which OpenTelemetry's SDK exports. It reads OTEL_SERVICE_NAME, OTEL_BSP_… and others from the
 * environment. Neither the global tracer nor context of async calls is used: an application that runs Posthorn in its
 * process may have its own.
 *
 * The names follow OpenTelemetry's semantic conventions for messaging and HTTP. The span of an attempt is a child of
 * the span that handed the webhook in, also hours later. The conventions ask for a link where one span processes
 * several messages, and allow the parent where it processes one: an attempt is about one webhook.
 */
export function createOpenTelemetry(settings: TracingSettings, log: Logger): Tracing {
  const exports = watchExports(new OTLPTraceExporter({ url: settings.url }), log);
  const processor = new BatchSpanProcessor(exports.exporter);
  const ids = new RandomIdGenerator();
  const isSampled = createSampler(settings.sampler, settings.ratio);
  const service = {
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'posthorn',
          'service.version': VERSION,
          'service.instance.id': randomUUID(),
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    instrumentationScope: { name: 'posthorn', version: VERSION },
  };
  let ended = 0;
  let skipped = 0;
  let second = 0;
  let inSecond = 0;

  /** Returns whether there may be another span, and counts it. */
  function mayBegin(): boolean {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) {
      second = now;
      inSecond = 0;
    }
    inSecond += 1;
    if (inSecond <= MAX_A_SECOND) return true;
    skipped += 1;
    return false;
  }

  function endSpan(span: EndedSpan): void {
    ended += 1;
    processor.onEnd(readableSpan(span, service));
  }

  function beginRequest(
    method: string,
    route: string,
    given: TraceContext | null,
  ): RequestSpan | null {
    if (!mayBegin()) return null;
    const parent = parentOf(given);
    const traceId = parent?.traceId ?? ids.generateTraceId();
    const spanId = ids.generateSpanId();
    const sampled = isSampled(traceId, parent);
    const clock = startClock();
    return {
      context: contextOf({ traceId, spanId, isSampled: sampled }, given),
      end(status) {
        if (!sampled) return;
        endSpan({
          name: `${method} ${route}`,
          kind: SpanKind.SERVER,
          ...{ traceId, spanId, ...parentFields(parent, given) },
          startMs: clock.startMs,
          endMs: clock.now(),
          attributes: {
            'http.request.method': method,
            'http.route': route,
            'http.response.status_code': status,
          },
          failure: status >= SERVER_ERROR ? '' : null,
        });
      },
    };
  }

  function beginAttempt(attempt: BegunAttempt): AttemptSpan | null {
    if (!mayBegin()) return null;
    const { webhookId, subscriptionId, attemptNumber, url, waitedMs, stored } = attempt;
    const parent = parentOf(stored);
    // A webhook without a trace gets one by its id, so that all its attempts are in the same trace.
    const traceId = parent?.traceId ?? webhookId.replaceAll('-', '');
    const deliverId = ids.generateSpanId();
    const sampled = isSampled(traceId, parent);
    // A trace that is not recorded needs no second span: the receiver only learns that it is not recorded.
    const postId = sampled ? ids.generateSpanId() : deliverId;
    const clock = startClock();
    return {
      context: contextOf({ traceId, spanId: postId, isSampled: sampled }, stored),
      sent(status, errorCode) {
        if (!sampled) return;
        endSpan({
          name: 'POST',
          kind: SpanKind.CLIENT,
          ...{ traceId, spanId: postId, parentSpanId: deliverId, isParentRemote: false },
          tracestate: parent === null ? null : (stored?.tracestate ?? null),
          startMs: clock.startMs,
          endMs: clock.now(),
          // The path and the query of a receiver's URL may be secret.
          attributes: {
            'http.request.method': 'POST',
            'url.scheme': url.protocol.slice(0, -1),
            'server.address': url.hostname,
            'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
            ...(attemptNumber > 1 ? { 'http.request.resend_count': attemptNumber - 1 } : {}),
            ...(status === undefined ? {} : { 'http.response.status_code': status }),
            ...(errorCode === null ? {} : { 'error.type': errorCode }),
          },
          failure: errorCode,
        });
      },
      end({ state, errorCode }) {
        if (!sampled) return;
        endSpan({
          name: 'deliver',
          kind: SpanKind.CONSUMER,
          ...{ traceId, spanId: deliverId, ...parentFields(parent, stored) },
          startMs: clock.startMs - waitedMs,
          endMs: clock.now(),
          attributes: {
            'messaging.system': 'posthorn',
            'messaging.operation.name': 'deliver',
            'messaging.operation.type': 'process',
            'messaging.message.id': webhookId,
            'messaging.message.body.size': attempt.bytes,
            'messaging.destination.subscription.name': String(subscriptionId),
            'posthorn.tenant': attempt.tenant,
            'posthorn.attempt': attemptNumber,
            'posthorn.waited_ms': Math.round(waitedMs),
            'posthorn.delivery.state': state,
            ...(errorCode === null ? {} : { 'error.type': errorCode }),
          },
          failure: errorCode,
        });
      },
    };
  }

  return {
    beginRequest,
    beginAttempt,
    get counts() {
      return { ended, exported: exports.exported, skipped };
    },
    async stop() {
      let timer: NodeJS.Timeout | undefined;
      const enough = new Promise((resolve) => {
        timer = setTimeout(resolve, STOP_MS);
      });
      await Promise.race([processor.shutdown().catch(() => {}), enough]);
      clearTimeout(timer);
    },
  };
}

/** Returns the time of the start, and a clock that a change of the system's time does not move. */
function startClock(): { readonly startMs: number; now(): number } {
  const startMs = Date.now();
  const startedAt = performance.now();
  return { startMs, now: () => startMs + performance.now() - startedAt };
}

function parentOf(given: TraceContext | null): ParentSpan | null {
  return given === null ? null : parseTraceparent(given.traceparent);
}

function parentFields(
  parent: ParentSpan | null,
  given: TraceContext | null,
): Pick<EndedSpan, 'parentSpanId' | 'isParentRemote' | 'tracestate'> {
  return {
    parentSpanId: parent?.spanId ?? null,
    isParentRemote: parent !== null,
    tracestate: parent === null ? null : (given?.tracestate ?? null),
  };
}

/** Returns the headers that make the span the parent of what follows. */
function contextOf(span: ParentSpan, given: TraceContext | null): TraceContext {
  return { traceparent: formatTraceparent(span), tracestate: given?.tracestate ?? null };
}
