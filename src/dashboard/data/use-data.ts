import { useCallback, useEffect, useReducer, useRef } from 'preact/hooks';
import { ApiError } from '../api/request.ts';
import { retryPause } from '../lib/retry-pause.ts';
import { shownTenant } from '../lib/tenant.ts';

/** What is known of something that the API is asked for. */
export interface Loaded<T> {
  /** What was read last; undefined: nothing yet. */
  readonly data: T | undefined;
  /** Why the last reading failed; undefined: it did not. */
  readonly error: ApiError | undefined;
  /** True: what is shown may be out of date, since the newest reading failed or is of something else. */
  readonly stale: boolean;
  /** When the data was read. */
  readonly readAt: Date | undefined;
  readonly loading: boolean;
  /** Reads again, now. */
  readonly reload: () => void;
}

interface Options {
  /** Reads again so often while the page is visible. Left out: once. */
  readonly everyMs?: number | undefined;
  /** When what is asked for changes, shows the data from before, as stale, instead of nothing. */
  readonly keep?: boolean;
}

/** Data that was to be read again counts as out of date when the answer takes longer. */
const SLOW_MS = 8_000;

/**
 * Reads something from the API, and keeps it fresh. If the service or its database is away, it tries again until it is
 * back, with growing pauses. A hidden page reads nothing; it reads when it is visible again.
 *
 * @param asked what the reading depends on: it is read anew when one of these changes.
 * @example
 * const stats = useData((signal) => api.getStats({ window }, { signal }), [window], { everyMs: 10_000 });
 */
export function useData<T>(
  read: (signal: AbortSignal) => Promise<T>,
  asked: readonly unknown[],
  { everyMs, keep = false }: Options = {},
): Loaded<T> {
  const state = useRef<Omit<Loaded<T>, 'reload'>>(NOTHING);
  const [, show] = useReducer((n: number) => n + 1, 0);
  const reading = useRef(read);
  reading.current = read;
  const start = useRef<() => void>(() => {});
  // The tenant is part of what every route is asked for.
  const key = JSON.stringify([asked, shownTenant.value]);
  const shownKey = useRef(key);
  if (shownKey.current !== key) {
    shownKey.current = key;
    state.current = keep ? { ...state.current, stale: true, loading: true } : NOTHING;
  }

  useEffect(() => {
    const update = (change: Partial<Loaded<T>>) => {
      state.current = { ...state.current, ...change };
      show(0);
    };
    let current = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;

    async function run() {
      clearTimeout(timer);
      current.abort();
      current = new AbortController();
      const { signal } = current;
      update({ loading: true });
      const slow = setTimeout(() => update({ stale: state.current.data !== undefined }), SLOW_MS);
      signal.addEventListener('abort', () => clearTimeout(slow));
      try {
        const data = await reading.current(signal);
        if (signal.aborted) return;
        failures = 0;
        update({ data, error: undefined, stale: false, readAt: new Date(), loading: false });
        if (everyMs !== undefined) later(everyMs);
      } catch (thrown) {
        if (signal.aborted) return;
        if (!(thrown instanceof ApiError)) throw thrown;
        update({ error: thrown, stale: state.current.data !== undefined, loading: false });
        if (!thrown.passes) return;
        const pause = retryPause(failures);
        failures += 1;
        later(Math.max(pause, thrown.retryAfterMs ?? 0));
      } finally {
        clearTimeout(slow);
      }
    }

    function later(ms: number) {
      timer = setTimeout(() => {
        if (document.hidden) waiting = true;
        else run();
      }, ms);
    }
    let waiting = false;
    const onVisible = () => {
      if (document.hidden || !waiting) return;
      waiting = false;
      run();
    };

    start.current = run;
    document.addEventListener('visibilitychange', onVisible);
    run();
    return () => {
      clearTimeout(timer);
      current.abort();
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [key, everyMs]);

  const reload = useCallback(() => start.current(), []);
  return { ...state.current, reload };
}

const NOTHING = {
  data: undefined,
  error: undefined,
  stale: false,
  readAt: undefined,
  loading: true,
} as const;
