/** What an acquirer holds until it lets go of it, in parts if it likes. */
export interface Slots {
  /** Waits until `count` places and `weight` are free, in the order of asking. */
  acquire(count: number, weight: number): Promise<void>;
  release(count: number, weight: number): void;
  /** Changes how many places there are. What is held beyond a smaller number is kept until released. */
  resize(maxCount: number): void;
  readonly used: number;
  /** How many are asking and have to wait. */
  readonly waiting: number;
  /** Places released so far. */
  readonly released: number;
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
  const waiting: { count: number; weight: number; go: () => void }[] = [];

  const fits = (moreCount: number, moreWeight: number) =>
    count === 0 || (count + moreCount <= limit && weight + moreWeight <= maxWeight);

  function letIn(): void {
    for (
      let next = waiting[0];
      next !== undefined && fits(next.count, next.weight);
      next = waiting[0]
    ) {
      waiting.shift();
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
      return waiting.length;
    },
    get released() {
      return released;
    },
    acquire(askedCount, askedWeight) {
      if (waiting.length === 0 && fits(askedCount, askedWeight)) {
        count += askedCount;
        weight += askedWeight;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        waiting.push({ count: askedCount, weight: askedWeight, go: resolve });
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
