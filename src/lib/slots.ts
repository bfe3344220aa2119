/** A limited number of places with a limited total weight. A holder may release them in parts. */
export interface Slots {
  /**
   * Waits until `count` places and `weight` are free, first come, first served.
   *
   * @param last whether all other waiting calls go first.
   */
  acquire(count: number, weight: number, last?: boolean): Promise<void>;
  release(count: number, weight: number): void;
  /** Changes the number of places. Holders keep their places until they release them. */
  resize(maxCount: number): void;
  readonly used: number;
  /** The number of waiting calls. */
  readonly waiting: number;
  /** The number of places released so far. */
  readonly released: number;
}

interface Waiting {
  readonly count: number;
  readonly weight: number;
  readonly go: () => void;
}

/**
 * Limits how many operations run at once and their total weight, such as the bytes that they hold. An operation
 * larger than the limits runs alone, so that it is not blocked for ever.
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

  function startWaiting(): void {
    for (;;) {
      const queue = waiting.length > 0 ? waiting : waitingLast;
      const [next] = queue;
      if (next === undefined || !fits(next.count, next.weight)) return;
      queue.shift();
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
      const isNext = waiting.length === 0 && (!last || waitingLast.length === 0);
      if (isNext && fits(askedCount, askedWeight)) {
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
      startWaiting();
    },
    resize(max) {
      limit = max;
      startWaiting();
    },
  };
}
