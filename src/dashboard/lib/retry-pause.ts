const FIRST_MS = 1_000;
const LONGEST_MS = 15_000;

/** The pause before the next try, in milliseconds: it grows with the tries in a row that failed before the last one. */
export function retryPause(failures: number): number {
  return Math.min(FIRST_MS * 2 ** failures, LONGEST_MS);
}
