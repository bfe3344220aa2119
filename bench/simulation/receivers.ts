import type { HttpAnswer } from '../../src/http/answer-reader.ts';
import { AttemptTimeoutError } from '../../src/http/http-client.ts';
import type { Random } from './random.ts';

/** How a receiver behaves. All but the first fail. */
export const KINDS = [
  'healthy',
  'refuses connections',
  'never answers',
  'takes 8 s',
  'fails every other minute',
  'takes 70 % and limits (429)',
  'away for an hour (503)',
] as const;
export type Kind = (typeof KINDS)[number];

/** When the receivers that are away go and come back. */
export const AWAY = { fromMs: 5 * 60_000, untilMs: 65 * 60_000 };
const MINUTE_MS = 60_000;
const LIMIT_EVERY_MS = 30_000;
const LIMITED_TO = 0.7;
const REFUSES_MS = 20;
const FAILS_MS = 30;
const SLOW_MS = 8_000;
/** Answer times of the others: a median of 80 ms, one in a hundred takes over 320 ms. */
const MEDIAN_MS = 80;
const SPREAD = 0.6;
/** A receiver can answer so many times as many requests as it usually gets. */
const SPARE_CAPACITY = 4;

/** A receiver: a queue before some places in which requests are worked on. */
export interface Receiver {
  readonly id: number;
  readonly kind: Kind;
  readonly perSecond: number;
  /** When each of its places is free. */
  readonly freeAt: number[];
  /** The requests that it took in the present interval, if it limits. */
  taken: { from: number; requests: number };
}

export function createReceiver(id: number, kind: Kind, perSecond: number): Receiver {
  const meanMs = kind === 'takes 8 s' ? SLOW_MS : MEDIAN_MS;
  const places = 2 + Math.ceil((SPARE_CAPACITY * perSecond * meanMs) / 1_000);
  return {
    id,
    kind,
    perSecond,
    freeAt: new Array(places).fill(0),
    taken: { from: 0, requests: 0 },
  };
}

/** The answer or the error of a request, and the time until it comes. */
export interface Answer {
  readonly afterMs: number;
  readonly answer: HttpAnswer | Error;
}

const answered = (statusCode: number, retryAfter?: string): HttpAnswer => ({
  statusCode,
  retryAfter,
  location: undefined,
  excerpt: null,
  cutOff: null,
});

/** @param healed all receivers are healthy from now on. */
export function answerOf(
  receiver: Receiver,
  timeoutMs: number,
  healed: boolean,
  now: number,
  random: Random,
): Answer {
  const { kind, id } = receiver;
  const timeout = { afterMs: timeoutMs, answer: new AttemptTimeoutError('response') };
  if (!healed) {
    if (kind === 'refuses connections')
      return {
        afterMs: REFUSES_MS,
        answer: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
      };
    if (kind === 'never answers') return timeout;
    const isAway = kind === 'away for an hour (503)' && now >= AWAY.fromMs && now < AWAY.untilMs;
    // Not all of them in the same minutes.
    const isFlat =
      kind === 'fails every other minute' && Math.floor((now + id * 7_000) / MINUTE_MS) % 2 === 1;
    if (isAway || isFlat) return { afterMs: FAILS_MS, answer: answered(503) };
    if (kind === 'takes 70 % and limits (429)') {
      const from = now - (now % LIMIT_EVERY_MS);
      if (receiver.taken.from !== from) receiver.taken = { from, requests: 0 };
      const limit = Math.ceil((LIMITED_TO * receiver.perSecond * LIMIT_EVERY_MS) / 1_000);
      if (receiver.taken.requests >= limit) {
        const seconds = Math.ceil((from + LIMIT_EVERY_MS - now) / 1_000);
        return { afterMs: FAILS_MS, answer: answered(429, String(seconds)) };
      }
      receiver.taken.requests += 1;
    }
  }
  const workMs =
    kind === 'takes 8 s' && !healed
      ? random.logNormal(SLOW_MS, 0.1)
      : random.logNormal(MEDIAN_MS, SPREAD);
  let place = 0;
  for (let n = 1; n < receiver.freeAt.length; n++)
    if ((receiver.freeAt[n] as number) < (receiver.freeAt[place] as number)) place = n;
  const endsAt = Math.max(now, receiver.freeAt[place] as number) + workMs;
  // It goes on with a request that nobody waits for any more.
  receiver.freeAt[place] = endsAt;
  return endsAt - now > timeoutMs ? timeout : { afterMs: endsAt - now, answer: answered(200) };
}
