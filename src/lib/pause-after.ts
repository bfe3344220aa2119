const FIRST_MS = 1_000;

/**
 * How long to wait after so many failures in a row, in milliseconds: as the queue does, e times as long
 * after each: 1 s, 2.7 s, 7.4 s, 20 s, and so on up to `mostMs`.
 *
 * @param failures counted from 1.
 */
export function pauseAfter(failures: number, mostMs: number): number {
  return Math.min(mostMs, FIRST_MS * Math.exp(Math.min(20, failures - 1)));
}
