import { withThousands } from '../lib/thousands.ts';
import type { Facts, LastAttempt } from './facts.sql.ts';

/** Texts of receivers and people are cut in sentences; the fields of the answer have them whole. */
const MAX_QUOTED = 300;
const DAY_MS = 86_400_000;

/** Writes a time in UTC: `12:03:04 UTC`, with the date if it is on another day than `now`. */
export function timeOf(at: Date, now: Date): string {
  const text = at.toISOString();
  const clock = `${text.slice(11, 19)} UTC`;
  return text.slice(0, 10) === now.toISOString().slice(0, 10)
    ? clock
    : `${text.slice(0, 10)} ${clock}`;
}

/**
 * Writes a duration as people say it, in one or two units, rounded.
 *
 * @example spanOf(40_000) // '40 s'
 * @example spanOf(5_400_000) // '1 h 30 min'
 */
export function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (ms < 2 * DAY_MS) return twoUnits(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(minutes / 60);
  return twoUnits(Math.floor(hours / 24), 'days', hours % 24, 'h');
}

const twoUnits = (large: number, unit: string, small: number, smallUnit: string) =>
  small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;

/** Writes a time that is to come: `12:04:00 UTC, in 40 s`. */
export function comingTime(at: Date, now: Date): string {
  return `${timeOf(at, now)}, in ${spanOf(at.getTime() - now.getTime())}`;
}

/** Quotes a text in a sentence: in one line, without the full stop at its end. */
export function quote(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim().replace(/\.$/, '');
  return `"${line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line}"`;
}

/** Writes a number of things: `1 delivery`, `12 deliveries`, `more than 10,000 deliveries`. */
export function countOf(count: number, one: string, many: string, more = false): string {
  const number = withThousands(count);
  if (more) return `more than ${number} ${many}`;
  return `${number} ${count === 1 ? one : many}`;
}

/** Says how an attempt ended: `failed with "The receiver answered 503 Service Unavailable"`. */
export function endOf({ status, error, errorCode }: LastAttempt): string {
  if (status === 'success') return 'succeeded';
  return `failed with ${quote(error ?? errorCode ?? 'an unknown error')}`;
}

/** Names the subscription of a delivery. */
export const subscriptionOf = ({ subscriptionId }: Facts) => `subscription ${subscriptionId}`;

/** Says how many requests to the receiver are open, as the workers told last: a further part of a sentence. */
export function openRequests({ workers: { inFlight } }: Facts): string {
  if (inFlight === 0) return '';
  return `; ${countOf(inFlight, 'request was', 'requests were')} open at the last count`;
}

/** Says how many older deliveries of the subscription are held. */
export function aheadOf({ queue }: Facts): string {
  const { ahead = 0, aheadMore = false } = queue ?? {};
  if (ahead === 0) return 'no older delivery is held';
  return `${countOf(ahead, 'older delivery is', 'older deliveries are', aheadMore)} held`;
}

/** Names the deliveries that one is in strict order with. */
export const keyOf = ({ delivery: { orderingKey } }: Facts) =>
  orderingKey === null ? 'those without an ordering key' : `the ordering key ${quote(orderingKey)}`;
