/** What an acquirer holds until it lets go of it, in parts if it likes. */
export interface Slots {
  /**
   * Waits until `count` places and `weight` are free, in the order of asking.
   *
   * @param last whether all others that wait go first.
   */
  acquire(count: number, weight: number, last?: boolean): Promise<void>;
  release(count: number, weight: number): void;
  /** Changes how many places there are. What is held beyond a smaller number is kept until released. */
  resize(maxCount: number): void;
  readonly used: number;
  /** How many are asking and have to wait. */
  readonly waiting: number;
  /** Places released so far. */
  readonly released: number;
}

interface Waiting {
  readonly count: number;
  readonly weight: number;
  readonly go: () => void;
}

/**
 * Bounds how many things are under way and what they weigh together (the bytes they hold).
 * Something larger than the bounds is let through alone rather than never.
 */
export function createSlots(maxCount: number, maxWeight: number): Slots {
  let limit = maxCount;
  let count = 0;
  let weight = 0;
  let released = 0;
  const waiting: Waiting[] = [];
  const waitingLast: Waiting[] = [];

  const fits = (moreCount: number, moreWeight: number) =>
    count === 0 || (count + moreCount <= limit && weight + moreWeight <= maxWeight);

  function letIn(): void {
    for (;;) {
      const line = waiting.length > 0 ? waiting : waitingLast;
      const [next] = line;
      if (next === undefined || !fits(next.count, next.weight)) return;
      line.shift();
      count += next.count;
      weight += next.weight;
      next.go();
    }
  }

  return {
    get used() {
      return count;
    },
    get waiting() {
      return waiting.length + waitingLast.length;
    },
    get released() {
      return released;
    },
    acquire(askedCount, askedWeight, last = false) {
      const nobodyFirst = waiting.length === 0 && (!last || waitingLast.length === 0);
      if (nobodyFirst && fits(askedCount, askedWeight)) {
        count += askedCount;
        weight += askedWeight;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        (last ? waitingLast : waiting).push({
          count: askedCount,
          weight: askedWeight,
          go: resolve,
        });
      });
    },
    release(freedCount, freedWeight) {
      count -= freedCount;
      weight -= freedWeight;
      released += freedCount;
      letIn();
    },
    resize(max) {
      limit = max;
      letIn();
    },
  };
}
