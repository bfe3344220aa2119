import { parseRetrySchedule } from '../deliveries/retry-schedule.ts';
import { formatDuration, parseDuration } from '../lib/duration.ts';
import { validateHeaderName, validateHeaderValue } from '../lib/node-http.ts';

/** The delivery options of a subscription, as in the API. Null: the setting applies. */
export interface Policy {
  /** Written as POSTHORN_RETRY_SCHEDULE. */
  readonly retry_schedule: string | null;
  /** A duration, such as `15s`. */
  readonly timeout: string | null;
  /** Sent with every delivery. */
  readonly headers: Record<string, string> | null;
  /** The most requests at once; null: adapted to the receiver. */
  readonly max_in_flight: number | null;
  readonly rate_limit: RateLimit | null;
  readonly ordering: 'none' | 'strict';
  /** Without a URL: it is deleted when nobody has pulled for this time; null: never. */
  readonly expire_after: string | null;
}

/** The most requests in a period, spread evenly: `{"limit": 50, "per": "1s"}`. */
export interface RateLimit {
  readonly limit: number;
  readonly per: string;
}

/** A policy's columns in the table of subscriptions. */
export interface PolicyColumns {
  retry_schedule: string | null;
  timeout_ms: number | null;
  headers: Record<string, string> | null;
  max_in_flight: number | null;
  rate_limit: number | null;
  rate_limit_per_ms: number | null;
  ordering: 'none' | 'strict';
  expire_after_ms: number | null;
}

/** A field that cannot be used, and why. */
export class PolicyError extends Error {
  override readonly name = 'PolicyError';
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

const MIN_TIMEOUT_MS = 100;
const MAX_TIMEOUT_MS = 5 * 60_000;
const MIN_PER_MS = 100;
const MAX_PER_MS = 86_400_000;
/** Longer than a pull may wait. */
const MIN_EXPIRE_AFTER_MS = 2 * 60_000;
const MAX_EXPIRE_AFTER_MS = 365 * 86_400_000;
export const MAX_HEADERS = 32;
const MAX_HEADERS_LENGTH = 8_192;

/**
 * Headers that deliveries set themselves, that belong to one connection (RFC 9110 section 7.6.1), or by which
 * proxies report the source of a request; and `proxy`, which CGI turns into the variable HTTP_PROXY.
 */
const RESERVED = new Set([
  'accept-encoding',
  'connection',
  'content-encoding',
  'content-length',
  'content-type',
  'date',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'webhook-id',
  'webhook-signature',
  'webhook-timestamp',
  'x-hub-signature-256',
  'x-real-ip',
]);
const RESERVED_PREFIX = /^x-forwarded-/;

/**
 * Normalizes a header's name as receivers may read it: CGI and WSGI (RFC 3875, 4.1.18) replace `-` by `_`, so
 * `Content_Length` becomes `Content-Length`, and some servers replace every other character too.
 */
export function readAs(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-');
}

/** Returns true if a subscription may not set a header of this name, or of a name that receivers read as it. */
export function isReserved(name: string): boolean {
  const normalized = readAs(name);
  return RESERVED.has(normalized) || RESERVED_PREFIX.test(normalized);
}

/** Returns why a header cannot be sent with deliveries, or null. */
export function headerProblem(name: string, value: unknown): string | null {
  if (isReserved(name))
    return 'is set by Posthorn, by a proxy or for the connection, or may be read as such a name; choose another name';
  try {
    validateHeaderName(name);
  } catch {
    return 'is not a header name; use letters, digits and -';
  }
  try {
    validateHeaderValue(name, value as string);
  } catch {
    return 'has a value that is not allowed in a header; use printable characters';
  }
  return typeof value === 'string' ? null : 'has a value that is not text';
}

/**
 * Turns the given fields of a policy into columns.
 *
 * @throws PolicyError naming the field, what is wrong with it, and what would be right.
 */
export function policyColumns(given: Partial<Policy>): Partial<PolicyColumns> {
  const columns: Partial<PolicyColumns> = {};
  const { retry_schedule, timeout, headers, max_in_flight, rate_limit, ordering } = given;
  const { expire_after } = given;
  if (retry_schedule !== undefined) {
    if (retry_schedule !== null)
      explained('retry_schedule', () => parseRetrySchedule(retry_schedule));
    columns.retry_schedule = retry_schedule;
  }
  if (timeout !== undefined) {
    columns.timeout_ms =
      timeout === null ? null : durationIn('timeout', timeout, MIN_TIMEOUT_MS, MAX_TIMEOUT_MS);
  }
  if (headers !== undefined) {
    if (headers !== null) judgeHeaders(headers);
    columns.headers = headers;
  }
  if (max_in_flight !== undefined) columns.max_in_flight = max_in_flight;
  if (rate_limit !== undefined) {
    columns.rate_limit = rate_limit?.limit ?? null;
    columns.rate_limit_per_ms =
      rate_limit === null
        ? null
        : durationIn('rate_limit.per', rate_limit.per, MIN_PER_MS, MAX_PER_MS);
  }
  if (ordering !== undefined) columns.ordering = ordering;
  if (expire_after !== undefined) {
    columns.expire_after_ms =
      expire_after === null
        ? null
        : durationIn('expire_after', expire_after, MIN_EXPIRE_AFTER_MS, MAX_EXPIRE_AFTER_MS);
  }
  return columns;
}

/** Turns columns into the policy as in the API. */
export function policyOf(columns: PolicyColumns): Policy {
  const { timeout_ms, rate_limit, rate_limit_per_ms, expire_after_ms } = columns;
  return {
    retry_schedule: columns.retry_schedule,
    timeout: timeout_ms === null ? null : formatDuration(timeout_ms),
    headers: columns.headers,
    max_in_flight: columns.max_in_flight,
    rate_limit:
      rate_limit === null || rate_limit_per_ms === null
        ? null
        : { limit: rate_limit, per: formatDuration(rate_limit_per_ms) },
    ordering: columns.ordering,
    expire_after: expire_after_ms === null ? null : formatDuration(Number(expire_after_ms)),
  };
}

function durationIn(field: string, text: string, minMs: number, maxMs: number): number {
  const durationMs = explained(field, () => parseDuration(text));
  if (durationMs < minMs || durationMs > maxMs) {
    throw new PolicyError(
      field,
      `"${text}" is outside ${formatDuration(minMs)} to ${formatDuration(maxMs)}`,
    );
  }
  return durationMs;
}

function judgeHeaders(headers: Record<string, string>): void {
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS)
    throw new PolicyError(
      'headers',
      `there are ${entries.length}; at most ${MAX_HEADERS} are allowed`,
    );
  const seen = new Set<string>();
  let length = 0;
  for (const [name, value] of entries) {
    const field = `headers.${name}`;
    const problem = headerProblem(name, value);
    if (problem !== null) throw new PolicyError(field, problem);
    const normalized = readAs(name);
    if (seen.has(normalized))
      throw new PolicyError(
        field,
        'is given twice, in spellings that receivers may read as one name',
      );
    seen.add(normalized);
    length += name.length + value.length;
  }
  if (length > MAX_HEADERS_LENGTH)
    throw new PolicyError(
      'headers',
      `are ${length} characters; at most ${MAX_HEADERS_LENGTH} are allowed`,
    );
}

function explained<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new PolicyError(field, (error as Error).message);
  }
}
