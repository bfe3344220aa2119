import { createGroupCommit } from '../lib/group-commit.ts';
import { type Loop, watched } from '../lib/loop-health.ts';
import type { Session } from './session.ts';

export interface NotifiedCacheOptions<V> {
  /** Listens for changes; the cache must be made before it is started. */
  readonly session: Session;
  /** Where the database says which name has changed. */
  readonly channel: string;
  /** Told how loading goes. */
  readonly loop: Loop;
  /** Asks the database for these names; what it does not answer for is absent. */
  readonly load: (names: string[]) => Promise<ReadonlyMap<string, V>>;
  /** Whether to remember what is absent, too. It costs a new name its first few milliseconds. */
  readonly rememberAbsent: boolean;
}

export interface NotifiedCache<V> {
  /** What the name stands for, or null. */
  get(name: string): Promise<V | null>;
  /** The same where it is known already, and otherwise undefined: for the hot path, without a promise. */
  peek(name: string): V | null | undefined;
  /** Forgets what is known of a name, which is about to change here and now. */
  forget(name: string): void;
}

interface Entry<V> {
  readonly value: V | null;
  readonly freshUntil: number;
}

/** A change is notified, so this bounds only what a lost notification could do. */
const FRESH_MS = 60_000;
/** While notifications do not arrive, a change must still take effect within a second. */
const FRESH_WITHOUT_NOTIFICATIONS_MS = 500;
const MAX_ENTRIES = 50_000;

/**
 * Rows by name, kept in memory and dropped when they change, by whichever process.
 *
 * Somebody who guesses names costs next to nothing: whoever asks for unknown ones shares a
 * statement, of which there is one at a time, and what is absent is kept apart, so that guesses
 * never push out what is known.
 */
export function createNotifiedCache<V>(options: NotifiedCacheOptions<V>): NotifiedCache<V> {
  const { session, channel, load, loop, rememberAbsent } = options;
  const known = new Map<string, Entry<V>>();
  const absent = new Map<string, Entry<V>>();
  // An answer that was under way while something changed may be the old one.
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
      const found = await watched(loop, () => load([...new Set(names)]));
      const freshMs = session.connected ? FRESH_MS : FRESH_WITHOUT_NOTIFICATIONS_MS;
      const freshUntil = performance.now() + freshMs;
      return names.map((name) => {
        const value = found.get(name) ?? null;
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
