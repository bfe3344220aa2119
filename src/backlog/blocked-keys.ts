import { createNumberSet } from '../lib/number-set.ts';

/** Blocked keys for whose deliveries there was no memory: only their hashes are kept. */
export interface BlockedKeys {
  /** Returns false when the set is full. */
  add(key: number, dueAt: number): boolean;
  /** Returns whether an older delivery of the key may have been skipped, before the sweep or by it. */
  has(key: number): boolean;
  /** Returns whether the present sweep has skipped an older delivery of the key. */
  hasSwept(key: number): boolean;
  /** When the next of the keys is due, or infinity. */
  readonly dueAt: number;
  readonly full: boolean;
  /** The backlog is read again: at its end, the keys that this sweep added replace all others. */
  beginSweep(): void;
  endSweep(): void;
}

/** @param most keys. Each takes 16 to 32 bytes, and twice that during a sweep. */
export function createBlockedKeys(most: number): BlockedKeys {
  const create = () => ({ keys: createNumberSet(most), dueAt: Number.POSITIVE_INFINITY });
  let passed = create();
  let swept: typeof passed | undefined;

  return {
    add(key, dueAt) {
      for (const set of swept === undefined ? [passed] : [passed, swept]) {
        if (!set.keys.add(key)) return false;
        set.dueAt = Math.min(set.dueAt, dueAt);
      }
      return true;
    },
    has: (key) => passed.keys.size > 0 && passed.keys.has(key),
    hasSwept: (key) => swept?.keys.has(key) ?? false,
    get dueAt() {
      return passed.dueAt;
    },
    get full() {
      return passed.keys.size >= most;
    },
    beginSweep() {
      swept = create();
    },
    endSweep() {
      passed = swept ?? passed;
      swept = undefined;
    },
  };
}
