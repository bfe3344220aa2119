import { createGroupCommit } from '../lib/group-commit.ts';
import { type Loop, watched } from '../lib/loop-health.ts';
import type { Session } from './session.ts';

export interface NotifiedCacheOptions<V> {
  /** Listens for changes. The cache must be created before the session is started. */
  readonly session: Session;
  /** The channel on which the database notifies names that have changed. */
  readonly channel: string;
  /** Told whether loading succeeds or fails. */
  readonly loop: Loop;
  /** Loads these names from the database. Names that are not in the result are absent. */
  readonly load: (names: string[]) => Promise<ReadonlyMap<string, V>>;
  /** Whether to cache absent names too. A name created meanwhile is then found some milliseconds later. */
  readonly rememberAbsent: boolean;
}

export interface NotifiedCache<V> {
  /** Returns the value of a name, or null if it is absent. */
  get(name: string): Promise<V | null>;
  /** As `get`, but without a promise, for the hot path: undefined if the name is not cached. */
  peek(name: string): V | null | undefined;
  /** Removes a name that this process changes. */
  forget(name: string): void;
}

interface Entry<V> {
  readonly value: V | null;
  readonly freshUntil: number;
}

/** Changes are notified, so this limits only the effect of a lost notification. */
const FRESH_MS = 60_000;
/** While notifications do not arrive, a change must still take effect within a second. */
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
const MAX_ENTRIES = 50_000;

/**
 * Caches rows by name, and drops a row when any process changes it.
 *
 * Guessing names costs the database little: requests for unknown names share one statement at a time, and
 * absent names are cached apart, so that guesses never evict known ones.
 */
export function createNotifiedCache<V>(options: NotifiedCacheOptions<V>): NotifiedCache<V> {
  const { session, channel, load, loop, rememberAbsent } = options;
  const known = new Map<string, Entry<V>>();
  const absent = new Map<string, Entry<V>>();
  // A result that was loaded while a name changed may be stale, so it is not cached.
  let changes = 0;

  function forgetValue(name: string): void {
    known.delete(name);
    absent.delete(name);
  }

  function forget(name: string): void {
    changes += 1;
    forgetValue(name);
  }

  session.listen(channel, forget);
  session.onLost(() => {
    changes += 1;
    known.clear();
    absent.clear();
  });

  function remember(name: string, value: V | null, freshUntil: number): void {
    forgetValue(name);
    if (value === null && !rememberAbsent) return;
    const entries = value === null ? absent : known;
    if (entries.size >= MAX_ENTRIES) entries.delete(entries.keys().next().value as string);
    entries.set(name, { value, freshUntil });
  }

  const loader = createGroupCommit<string, V | null>({
    concurrency: 1,
    maxItems: 1000,
    async run(names) {
      const changesBefore = changes;
      const values = await watched(loop, () => load([...new Set(names)]));
      const freshMs = session.connected ? FRESH_MS : FRESH_WITHOUT_NOTIFICATIONS_MS;
      const freshUntil = performance.now() + freshMs;
      return names.map((name) => {
        const value = values.get(name) ?? null;
        if (changes === changesBefore) remember(name, value, freshUntil);
        return value;
      });
    },
  });

  function peek(name: string): V | null | undefined {
    const entry = known.get(name) ?? absent.get(name);
    return entry !== undefined && entry.freshUntil > performance.now() ? entry.value : undefined;
  }

  return {
    peek,
    forget,
    async get(name) {
      const value = peek(name);
      return value === undefined ? await loader.add(name) : value;
    },
  };
}
