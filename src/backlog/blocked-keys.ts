import { createNumberSet } from '../lib/number-set.ts';

/** Keys that are blocked and that nothing more is known of: there was no memory for them. */
export interface BlockedKeys {
  /** Returns false when there are too many. */
  add(key: number, dueAt: number): boolean;
  /** Whether something older of a key may have been passed. While a sweep goes on: before it, or by it. */
  has(key: number): boolean;
  /** The same, of what this sweep has passed alone. */
  hasSwept(key: number): boolean;
  /** When the next of them is due, or infinity. */
  readonly dueAt: number;
  readonly full: boolean;
  /** All is being read again: what it passes is what counts afterwards. */
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
