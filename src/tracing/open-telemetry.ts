// Imported only if traces are exported: see tracing.ts.
import { randomUUID } from 'node:crypto';
import {
  createTraceState,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import {
  defaultResource,
  detectResources,
  envDetector,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  RandomIdGenerator,
} from '@opentelemetry/sdk-trace-base';
import type { Logger } from 'pino';
import { VERSION } from '../version.ts';
import { watchExports } from './exports.ts';
import { formatTraceparent, parseTraceparent, type TraceContext } from './trace-context.ts';
import type { AttemptSpan, BegunAttempt, RequestSpan, Tracing } from './tracing.ts';

const STOP_MS = 2_000;
/**
 * Requests and attempts that get spans, in a second of this process: of some 100 webhooks. *Measured* at 90 a second,
 * the spans of a webhook take 0.3 ms of CPU, 3 % of a core together. Without a bound, a sender whose traceparent asks
 * for recording would decide what tracing costs.
 */
const MAX_A_SECOND = 200;
/** From this status on, an answer of the API is an error of the service (OpenTelemetry's conventions for HTTP). */
const SERVER_ERROR = 500;

/**
 * Makes spans by OpenTelemetry's SDK, which reads OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, OTEL_BSP_… and others from
 * the environment. Neither the global tracer nor context of async calls is used: an application that runs Posthorn
 * in its process may have its own.
 *
 * The names follow OpenTelemetry's semantic conventions for messaging and HTTP. The span of an attempt is a child of
 * the span that handed the webhook in, also hours later. The conventions ask for a link where one span processes
 * several messages, and allow the parent where it processes one: an attempt is about one webhook.
 */
export function createOpenTelemetry(url: string, log: Logger): Tracing {
  const exports = watchExports(new OTLPTraceExporter({ url }), log);
  const processor = new BatchSpanProcessor(exports.exporter);
  const ids = new RandomIdGenerator();
  /** The id of the trace that a span begins, if it is not a random one. */
  let nextTraceId: string | null = null;
  let ended = 0;
  let skipped = 0;
  let second = 0;
  let inSecond = 0;
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes({
          'service.name': 'posthorn',
          'service.version': VERSION,
          'service.instance.id': randomUUID(),
        }),
      )
      .merge(detectResources({ detectors: [envDetector] })),
    idGenerator: {
      generateTraceId: () => nextTraceId ?? ids.generateTraceId(),
      generateSpanId: () => ids.generateSpanId(),
    },
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('posthorn', VERSION);

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

  function endSpan(span: Span): void {
    if (span.isRecording()) ended += 1;
    span.end();
  }

  function beginRequest(
    method: string,
    route: string,
    parent: TraceContext | null,
  ): RequestSpan | null {
    if (!mayBegin()) return null;
    const span = tracer.startSpan(
      `${method} ${route}`,
      {
        kind: SpanKind.SERVER,
        attributes: { 'http.request.method': method, 'http.route': route },
      },
      contextOf(parent),
    );
    return {
      context: contextFor(span, parent),
      end(status) {
        span.setAttribute('http.response.status_code', status);
        if (status >= SERVER_ERROR) span.setStatus({ code: SpanStatusCode.ERROR });
        endSpan(span);
      },
    };
  }

  function beginAttempt(attempt: BegunAttempt): AttemptSpan | null {
    if (!mayBegin()) return null;
    const { webhookId, subscriptionId, tenant, attemptNumber, url, waitedMs, stored } = attempt;
    const now = Date.now();
    // A webhook without a trace gets one by its id, so that all its attempts are in the same trace.
    nextTraceId = webhookId.replaceAll('-', '');
    const delivering = tracer.startSpan(
      'deliver',
      {
        kind: SpanKind.CONSUMER,
        startTime: now - waitedMs,
        attributes: {
          'messaging.system': 'posthorn',
          'messaging.operation.name': 'deliver',
          'messaging.operation.type': 'process',
          'messaging.message.id': webhookId,
          'messaging.message.body.size': attempt.bytes,
          'messaging.destination.subscription.name': String(subscriptionId),
          'posthorn.tenant': tenant,
          'posthorn.attempt': attemptNumber,
          'posthorn.waited_ms': Math.round(waitedMs),
        },
      },
      contextOf(stored),
    );
    nextTraceId = null;
    // A trace that is not recorded needs no second span: the receiver only learns that it is not recorded.
    const sending = delivering.isRecording()
      ? tracer.startSpan(
          'POST',
          {
            kind: SpanKind.CLIENT,
            startTime: now,
            // The path and the query of a receiver's URL may be secret.
            attributes: {
              'http.request.method': 'POST',
              'url.scheme': url.protocol.slice(0, -1),
              'server.address': url.hostname,
              'server.port': Number(url.port) || (url.protocol === 'https:' ? 443 : 80),
              ...(attemptNumber > 1 ? { 'http.request.resend_count': attemptNumber - 1 } : {}),
            },
          },
          trace.setSpan(ROOT_CONTEXT, delivering),
        )
      : delivering;
    return {
      context: contextFor(sending, stored),
      sent(status, errorCode) {
        if (!sending.isRecording()) return;
        if (status !== undefined) sending.setAttribute('http.response.status_code', status);
        if (errorCode !== null) fail(sending, errorCode);
        endSpan(sending);
      },
      end({ state, errorCode }) {
        delivering.setAttribute('posthorn.delivery.state', state);
        if (errorCode !== null) fail(delivering, errorCode);
        endSpan(delivering);
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
      await Promise.race([provider.shutdown().catch(() => {}), enough]);
      clearTimeout(timer);
    },
  };
}

function fail(span: Span, errorCode: string): void {
  span.setAttribute('error.type', errorCode);
  span.setStatus({ code: SpanStatusCode.ERROR, message: errorCode });
}

function contextOf(given: TraceContext | null) {
  const parent = given === null ? null : parseTraceparent(given.traceparent);
  if (parent === null || given === null) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, {
    traceId: parent.traceId,
    spanId: parent.spanId,
    traceFlags: Number(parent.isSampled),
    isRemote: true,
    ...(given.tracestate === null ? {} : { traceState: createTraceState(given.tracestate) }),
  });
}

/** Returns the headers that make the span the parent of what follows. */
function contextFor(span: Span, given: TraceContext | null): TraceContext {
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceparent: formatTraceparent({ traceId, spanId, isSampled: (traceFlags & 1) === 1 }),
    tracestate: given?.tracestate ?? null,
  };
}
