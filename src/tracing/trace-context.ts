// The trace of a webhook, as it travels in headers: W3C Trace Context, https://www.w3.org/TR/trace-context/.

/** The headers by which a request says to which trace it belongs. */
export interface TraceContext {
  readonly traceparent: string;
  /** What tracing systems add to it; null: nothing. */
  readonly tracestate: string | null;
}

/** The parts of a traceparent. */
export interface ParentSpan {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** Whether the sender records the trace. */
  readonly isSampled: boolean;
}

/** A longer tracestate may be left out (section 3.3.1.5), so that a sender cannot make every webhook larger. */
const MAX_TRACESTATE = 512;
const MAX_MEMBERS = 32;
const TRACEPARENT =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;
const VERSION_0_LENGTH = 55;
const MAX_TRACEPARENT = 128;
const MEMBER =
  /^[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;

/**
 * Reads a traceparent. Versions after 00 may have more parts, which are ignored (section 3.2.4).
 *
 * @returns null if it is malformed: then the request belongs to no trace.
 */
export function parseTraceparent(text: string): ParentSpan | null {
  if (text.length > MAX_TRACEPARENT) return null;
  const match = TRACEPARENT.exec(text);
  if (match === null) return null;
  const [, version, traceId, spanId, flags] = match as unknown as string[];
  if (version === '00' && text.length !== VERSION_0_LENGTH) return null;
  return {
    traceId: traceId as string,
    spanId: spanId as string,
    isSampled: (Number.parseInt(flags as string, 16) & 1) === 1,
  };
}

/** Writes a traceparent of version 00. */
export function formatTraceparent({ traceId, spanId, isSampled }: ParentSpan): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`;
}

/**
 * Reads the trace of a request from its headers.
 *
 * @returns null if there is none, or if its traceparent is malformed. A malformed or too long tracestate is left out.
 */
export function traceContextOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): TraceContext | null {
  const { traceparent, tracestate } = headers;
  // Two headers are one text with a comma, and so malformed.
  if (typeof traceparent !== 'string' || parseTraceparent(traceparent) === null) return null;
  const state = Array.isArray(tracestate) ? tracestate.join(',') : tracestate;
  return { traceparent, tracestate: state !== undefined && isTracestate(state) ? state : null };
}

function isTracestate(text: string): boolean {
  if (text.length > MAX_TRACESTATE) return false;
  const members = text.split(',').map((member) => member.trim());
  return (
    members.length <= MAX_MEMBERS && members.every((member) => member === '' || MEMBER.test(member))
  );
}

/** Returns the id of a trace, for logs. */
export function traceIdOf(context: TraceContext | null | undefined): string | undefined {
  return context == null ? undefined : parseTraceparent(context.traceparent)?.traceId;
}

/** Adds a trace to the headers of a webhook, unless its sender has given it one. */
export function withTraceContext(
  headers: Readonly<Record<string, string>> | null,
  context: TraceContext | null,
): Readonly<Record<string, string>> | null {
  if (context === null || (headers !== null && 'traceparent' in headers)) return headers;
  const { traceparent, tracestate } = context;
  return { ...headers, traceparent, ...(tracestate === null ? {} : { tracestate }) };
}

/** Returns the trace that a webhook was stored with. `headers` are names, in lower case, and values in turn. */
export function storedTraceOf(headers: readonly string[] | null): TraceContext | null {
  if (headers === null || !headers.includes('traceparent')) return null;
  const value = (name: string) => {
    const at = headers.findIndex((text, index) => index % 2 === 0 && text === name);
    return at === -1 ? undefined : headers[at + 1];
  };
  return traceContextOf({ traceparent: value('traceparent'), tracestate: value('tracestate') });
}

/** Returns whether the headers, names and values in turn, are those of a trace and no others. */
export function isOnlyTrace(headers: readonly string[]): boolean {
  return headers.every(
    (text, index) => index % 2 === 1 || text === 'traceparent' || text === 'tracestate',
  );
}

/** Returns the headers, names and values in turn, with this trace in the place of another. */
export function replaceTrace(headers: readonly string[] | null, trace: TraceContext): string[] {
  const { traceparent, tracestate } = trace;
  const given = headers ?? [];
  const kept: string[] = [];
  for (let at = 0; at < given.length; at += 2) {
    const [name, value] = given.slice(at, at + 2) as [string, string];
    if (name !== 'traceparent' && name !== 'tracestate') kept.push(name, value);
  }
  kept.push('traceparent', traceparent);
  if (tracestate !== null) kept.push('tracestate', tracestate);
  return kept;
}
