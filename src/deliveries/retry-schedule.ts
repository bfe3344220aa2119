import { parseDuration } from '../lib/duration.ts';

/**
 * The delays before attempts 2, 3, …, in milliseconds. A delivery has one attempt more than its
 * schedule has delays.
 */
export type RetrySchedule = readonly number[];

/** Jitter is ±20 % so that receivers which failed together do not come back together. */
export const JITTER = 0.2;

/** More delays than this are a mistake in a setting. */
const MAX_DELAYS = 100;
/** A longer delay is a mistake too, and Postgres has no dates for the longest that can be written. */
const MAX_DELAY_MS = 365 * 86_400_000;

/** The three forms of an HTTP date (RFC 9110 section 5.6.7). `Date.parse` takes far more. */
const HTTP_DATES = [
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d? [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/,
  /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, \d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d:\d\d GMT$/,
  /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}$/,
];

/**
 * Returns the delay after failed attempt number `attemptNumber` (1 for the first): the schedule's delay
 * with jitter, or the receiver's `Retry-After` when that is longer, capped at the schedule's longest
 * delay. Null when the schedule is exhausted.
 *
 * @param random a number in [0, 1), as `Math.random()` gives it.
 * @returns whole milliseconds, or null when there is no further attempt.
 */
export function nextDelayMs(
  schedule: RetrySchedule,
  attemptNumber: number,
  random: number,
  retryAfterMs?: number,
): number | null {
  const delayMs = schedule[attemptNumber - 1];
  if (delayMs === undefined) return null;
  const jitteredMs = Math.round(delayMs * (1 - JITTER + 2 * JITTER * random));
  if (retryAfterMs === undefined) return jitteredMs;
  return Math.max(jitteredMs, Math.min(retryAfterMs, Math.max(...schedule)));
}

/**
 * Reads a retry schedule: a list of durations (`5s,5m,30m`) or
 * `exponential(base=10s,factor=2,max=1h,attempts=8)`, where `attempts` counts the first one too.
 *
 * @example parseRetrySchedule('5s,5m') // [5_000, 300_000]
 * @throws Error that says which part is wrong and what would be right.
 */
export function parseRetrySchedule(text: string): RetrySchedule {
  const trimmed = text.trim();
  const delays = trimmed.startsWith('exponential')
    ? parseExponential(trimmed)
    : trimmed.split(',').map((part) => parseDuration(part));
  if (delays.length > MAX_DELAYS) {
    throw new Error(`it has ${delays.length} delays; at most ${MAX_DELAYS} are allowed`);
  }
  if (delays.some((delayMs) => delayMs > MAX_DELAY_MS)) {
    throw new Error('a delay is longer than 365d');
  }
  return Object.freeze(delays);
}

function parseExponential(text: string): number[] {
  const match = /^exponential\((.*)\)$/.exec(text);
  if (!match) throw new Error('write exponential(base=10s,factor=2,max=1h,attempts=8)');
  const given = new Map<string, string>();
  for (const pair of (match[1] as string).split(',')) {
    const [name = '', value = ''] = pair.split('=').map((part) => part.trim());
    if (!['base', 'factor', 'max', 'attempts'].includes(name)) {
      throw new Error(`exponential() takes base, factor, max and attempts, not "${name}"`);
    }
    given.set(name, value);
  }
  const baseMs = parseDuration(given.get('base') ?? '10s');
  const maxMs = parseDuration(given.get('max') ?? '1h');
  const factor = Number(given.get('factor') ?? '2');
  const attempts = Number(given.get('attempts') ?? '8');
  if (baseMs === 0) throw new Error('base must be longer than 0s');
  if (!(factor >= 1)) throw new Error('factor must be a number of at least 1');
  if (!Number.isInteger(attempts) || attempts < 1 || attempts > MAX_DELAYS) {
    throw new Error(`attempts must be a whole number from 1 to ${MAX_DELAYS}`);
  }
  return Array.from({ length: attempts - 1 }, (_, index) =>
    Math.min(maxMs, Math.round(baseMs * factor ** index)),
  );
}

/**
 * Reads a `Retry-After` header (RFC 9110 section 10.2.3): seconds, or an HTTP date.
 *
 * @param nowMs the present, in milliseconds since the epoch.
 * @returns milliseconds from now, never negative; undefined when absent or malformed.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  if (!HTTP_DATES.some((form) => form.test(text))) return undefined;
  // The third form, that of C's asctime, is in GMT without saying so.
  const atMs = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
