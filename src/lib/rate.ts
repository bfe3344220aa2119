import { parseDuration } from './duration.ts';

/** At most `limit` in `perMs` milliseconds. */
export interface Rate {
  readonly limit: number;
  readonly perMs: number;
}

const RATE = /^(\d{1,9})\/(\S+)$/;

/**
 * Reads a rate, such as `100/1s`, `100/s` or `6000/5m`; `off` is none.
 *
 * @throws Error that says what would be right.
 */
export function parseRate(text: string): Rate | undefined {
  const trimmed = text.trim();
  if (trimmed === 'off') return undefined;
  const [, count = '', time = ''] = RATE.exec(trimmed) ?? [];
  const limit = Number(count);
  if (limit < 1) throw new Error(`"${text}" is not off, and not a rate such as 100/1s or 6000/1m`);
  const perMs = parseDuration(/^\d/.test(time) ? time : `1${time}`);
  if (perMs < 1000 || perMs > 3_600_000)
    throw new Error(`"${text}" has a time outside of 1s to 1h`);
  return { limit, perMs };
}
