interface Isolated<T> {
  /** The errors of items that fail alone. */
  readonly errors: ReadonlyMap<T, unknown>;
  /** Items that were not tried alone, because too many others failed before them. */
  readonly untried: readonly T[];
}

/** The error of an item that was not tried because too many others of its group failed before it. */
export const UNTRIED = new Error('It was not tried, because too many others of its group failed');

/** Returns each item's error, `UNTRIED` or undefined, in the order of the items. Empty if all were done. */
export function errorsOf<T>(items: readonly T[], { errors, untried }: Isolated<T>): unknown[] {
  if (errors.size === 0) return [];
  const untriedItems = new Set(untried);
  return items.map((item) => errors.get(item) ?? (untriedItems.has(item) ? UNTRIED : undefined));
}

/** Halving 500 items down to a single failing item takes ten failures. */
const MAX_FAILURES = 16;

/**
 * Runs work on a group of items. If that fails, runs it on each half, and so on, so that an item that makes
 * its group fail does not stop the others. Failed work must have changed nothing.
 *
 * @param mayBeOfItems returns true if single items of a group may have caused its error. Other errors are thrown
 *   at once.
 * @param maxFailures after this many failures the rest is not tried, which limits the cost of a group.
 */
export async function isolate<T>(
  items: readonly T[],
  work: (items: T[]) => Promise<void>,
  mayBeOfItems: (error: unknown, group: T[]) => boolean | Promise<boolean>,
  maxFailures = MAX_FAILURES,
): Promise<Isolated<T>> {
  const errors = new Map<T, unknown>();
  const groups = items.length === 0 ? [] : [[...items]];
  for (let failures = 0; groups.length > 0 && failures < maxFailures; ) {
    const group = groups.pop() as T[];
    try {
      await work(group);
    } catch (error) {
      if (!(await mayBeOfItems(error, group))) throw error;
      failures += 1;
      if (group.length === 1) {
        errors.set(group[0] as T, error);
        continue;
      }
      // The first half goes first, since order may matter.
      const middle = group.length >> 1;
      groups.push(group.slice(middle), group.slice(0, middle));
    }
  }
  return { errors, untried: groups.reverse().flat() };
}
