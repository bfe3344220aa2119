import { createTotalLimit } from '#src/concurrency/total-limit.ts';

/** Returns the most requests that a worker has open to receivers of one tenant that have not answered yet. */
export function mostToSilent(maxInFlight: number): number {
  return createTotalLimit(maxInFlight, 0).roomFor('', { quick: false, proven: false });
}
