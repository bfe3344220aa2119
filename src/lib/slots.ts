/** A limited number of places for operations that run at once. */
export interface Slots {
  /** Waits until a place is free, first come, first served. */
  acquire(): Promise<void>;
  release(): void;
}

/** Limits how many operations run at once. */
export function createSlots(max: number): Slots {
  let used = 0;
  const waiting: (() => void)[] = [];

  return {
    acquire() {
      if (used === max) return new Promise((resolve) => waiting.push(resolve));
      used += 1;
      return Promise.resolve();
    },
    release() {
      const next = waiting.shift();
      if (next === undefined) used -= 1;
      else next();
    },
  };
}
