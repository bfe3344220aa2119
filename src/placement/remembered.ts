import type { Session } from '../db/session.ts';
import { createGroupCommit } from '../lib/group-commit.ts';

/** What was read from the directory, by name. */
export interface Remembered<V> {
  /**
   * Returns the value of a name, or null if the directory has none. While the directory is away, that is the last value
   * that was read.
   *
   * @throws if the name was never read, and the directory is away.
   */
  get(name: string): Promise<V | null>;
  /** Makes the next `get` ask the directory. */
  expire(name: string): void;
  expireAll(): void;
}

interface Entry<V> {
  readonly value: V | null;
  freshUntil: number;
}

interface RememberedOptions<V> {
  readonly session: Session;
  /** Reads these names. Those that are not in the result have no value. */
  readonly load: (names: readonly string[]) => Promise<ReadonlyMap<string, V>>;
  /** Called when the directory cannot be read. */
  readonly onAway: (error: unknown) => void;
}

/** Changes are notified, so this limits only the effect of a lost notification. */
const FRESH_MS = 60_000;
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
/** For this long after a failure, the last values count without asking again. */
const AWAY_MS = 1_000;
/** A request whose answer is known from before waits no longer for the directory. */
const PATIENCE_MS = 1_000;
const MAX_ENTRIES = 50_000;

/**
 * Remembers what the directory says. Unlike `createNotifiedCache`, it never forgets a value that it cannot read again: the
 * directory may be away for hours while tenants stay where they are.
 */
export function createRemembered<V>(options: RememberedOptions<V>): Remembered<V> {
  const { session, load, onAway } = options;
  const entries = new Map<string, Entry<V>>();
  // A result that was loaded while something changed may be stale, so it is asked for again.
  let changes = 0;

  const loader = createGroupCommit<string, V | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(names) {
      const before = changes;
      const values = await load([...new Set(names)]);
      const freshMs =
        before !== changes ? 0 : session.connected ? FRESH_MS : FRESH_WITHOUT_NOTIFICATIONS_MS;
      const freshUntil = performance.now() + freshMs;
      return names.map((name) => {
        const value = values.get(name) ?? null;
        entries.delete(name);
        if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as string);
        entries.set(name, { value, freshUntil });
        return value;
      });
    },
  });

  return {
    async get(name) {
      const entry = entries.get(name);
      if (entry === undefined) return await loader.add(name);
      if (entry.freshUntil > performance.now()) return entry.value;
      try {
        return await withinTime(loader.add(name));
      } catch (error) {
        onAway(error);
        entry.freshUntil = performance.now() + AWAY_MS;
        return entry.value;
      }
    },
    expire(name) {
      changes += 1;
      const entry = entries.get(name);
      if (entry !== undefined) entry.freshUntil = 0;
    },
    expireAll() {
      changes += 1;
      for (const entry of entries.values()) entry.freshUntil = 0;
    },
  };
}

function withinTime<T>(work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('The directory does not answer.')),
      PATIENCE_MS,
    );
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
