import {
  type Attributes,
  createTraceState,
  type HrTime,
  type SpanContext,
  type SpanKind,
  SpanStatusCode,
  TraceFlags,
} from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace-base';

/** A span that has ended, of a trace that is recorded. */
export interface EndedSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly traceId: string;
  readonly spanId: string;
  /** Null: it begins its trace. */
  readonly parentSpanId: string | null;
  /** Whether the parent is a span of another process. */
  readonly isParentRemote: boolean;
  readonly tracestate: string | null;
  /** Since the epoch; fractions are microseconds. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  /** Null: it has not failed. An empty text: it has, without a reason. */
  readonly failure: string | null;
}

type Service = Pick<ReadableSpan, 'resource' | 'instrumentationScope'>;

/**
 * Returns a span in the form in which OpenTelemetry exports it. Its own `Tracer` is not used: *measured*, it took three
 * quarters of the time of a span, for checks of attributes, metrics of its own, and a context that nothing here needs.
 */
export function readableSpan(span: EndedSpan, service: Service): ReadableSpan {
  const { traceId, spanId, parentSpanId, tracestate, startMs, endMs, failure } = span;
  const traceFlags = TraceFlags.SAMPLED;
  const context: SpanContext = {
    traceId,
    spanId,
    traceFlags,
    ...(tracestate === null ? {} : { traceState: createTraceState(tracestate) }),
  };
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => context,
    ...(parentSpanId === null
      ? {}
      : {
          parentSpanContext: {
            traceId,
            spanId: parentSpanId,
            traceFlags,
            isRemote: span.isParentRemote,
          },
        }),
    startTime: hrTime(startMs),
    endTime: hrTime(endMs),
    duration: hrTime(endMs - startMs),
    ended: true,
    status: statusOf(failure),
    attributes: span.attributes,
    links: [],
    events: [],
    resource: service.resource,
    instrumentationScope: service.instrumentationScope,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.floor((ms - seconds * 1000) * 1e6)];
}

function statusOf(failure: string | null): ReadableSpan['status'] {
  if (failure === null) return { code: SpanStatusCode.UNSET };
  return { code: SpanStatusCode.ERROR, ...(failure === '' ? {} : { message: failure }) };
}
