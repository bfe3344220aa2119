export interface Isolated<T> {
  /** The items that fail alone, and why. */
  readonly errors: ReadonlyMap<T, unknown>;
  /** Those that nothing is known of, since too many others failed before them. */
  readonly untried: readonly T[];
}

/** Too many others of its group failed before it. */
export const UNTRIED = new Error('It was not tried, since others of its group failed');

/** What came of each item, in their order: its error, `UNTRIED`, or undefined. Empty if all were done. */
export function errorsOf<T>(items: readonly T[], { errors, untried }: Isolated<T>): unknown[] {
  if (errors.size === 0) return [];
  const left = new Set(untried);
  return items.map((item) => errors.get(item) ?? (left.has(item) ? UNTRIED : undefined));
}

/** Halving 500 items down to one that fails takes ten failures. */
const MAX_FAILURES = 16;

/**
 * Does work on a group of items. If that fails, does it on each half, and so on, so that an item that
 * makes its group fail stops no other. The work must change nothing when it fails.
 *
 * @param canBeTheirs whether an error may be caused by single items. Any other one is thrown at once.
 * @param maxFailures after so many the rest is not tried any more, which bounds what a group costs.
 */
export async function isolate<T>(
  items: readonly T[],
  work: (items: T[]) => Promise<void>,
  canBeTheirs: (error: unknown) => boolean,
  maxFailures = MAX_FAILURES,
): Promise<Isolated<T>> {
  const errors = new Map<T, unknown>();
  const groups = items.length === 0 ? [] : [[...items]];
  for (let failures = 0; groups.length > 0 && failures < maxFailures; ) {
    const group = groups.pop() as T[];
    try {
      await work(group);
    } catch (error) {
      if (!canBeTheirs(error)) throw error;
      failures += 1;
      if (group.length === 1) {
        errors.set(group[0] as T, error);
        continue;
      }
      // The first half is worked on first: order may matter.
      const middle = group.length >> 1;
      groups.push(group.slice(middle), group.slice(0, middle));
    }
  }
  return { errors, untried: groups.reverse().flat() };
}
