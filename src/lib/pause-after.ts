const FIRST_MS = 1_000;

/**
 * Returns the pause after a number of failures in a row, in milliseconds. As in the queue, each pause is e
 * times as long as the previous pause: 1 s, 2.7 s, 7.4 s, 20 s, and so on up to `mostMs`.
 *
 * @param failures counted from 1.
 */
export function pauseAfter(failures: number, mostMs: number): number {
  return Math.min(mostMs, FIRST_MS * Math.exp(Math.min(20, failures - 1)));
}
