/** Moving a backlog pauses it for the time of its attempts, so a run moves no more than so many. */
const MOST_MOVED = 100;
/** Backlogs come and go all the time, so a worker may have this much more than its share. */
const SLACK = 1.1;

/** Backlogs that have an owner, and the workers that may own some. */
export interface Ownerships {
  readonly mine: number;
  readonly all: number;
  readonly workers: number;
}

/** Returns how many backlogs a worker should leave to others, so that each has about the same number. */
export function excessOf({ mine, all, workers }: Ownerships): number {
  const share = Math.ceil(all / Math.max(1, workers));
  if (mine <= share || mine < share * SLACK) return 0;
  return Math.min(MOST_MOVED, mine - share);
}
