import { type Loaded, useData } from './use-data.ts';
import { useUrl } from './use-url.ts';

export interface PageOf<Row> {
  readonly data: readonly Row[];
  readonly next_cursor: string | null;
}

export interface Pages<Row> extends Loaded<PageOf<Row>> {
  readonly rows: readonly Row[] | undefined;
  /** Goes to the page after this one; undefined: there is none. */
  readonly next: (() => void) | undefined;
  /** Goes to the page before this one; undefined: this is the first page. */
  readonly previous: (() => void) | undefined;
}

/** From which page each page was reached. A cursor leads forward only, so this is how to get back. */
const cameFrom = new Map<string, string | undefined>();

/**
 * Reads a page of a list of the API. Which page it is, is `cursor` of the URL. The first page is read again so often as
 * `everyMs` says; others show what is older than their cursor and are read once.
 *
 * @example
 * const pages = usePages((page, signal) => api.listTasks({ ...page }, { signal }), []);
 */
export function usePages<Row>(
  read: (page: { cursor?: string; limit: number }, signal: AbortSignal) => Promise<PageOf<Row>>,
  asked: readonly unknown[],
  { everyMs, limit = 50 }: { everyMs?: number | undefined; limit?: number } = {},
): Pages<Row> {
  const { query, set } = useUrl();
  const { cursor } = query;
  const loaded = useData(
    (signal) => read(cursor === undefined ? { limit } : { cursor, limit }, signal),
    [...asked, cursor, limit],
    { everyMs: cursor === undefined ? everyMs : undefined },
  );
  const nextCursor = loaded.data?.next_cursor;
  return {
    ...loaded,
    rows: loaded.data?.data,
    next:
      typeof nextCursor === 'string'
        ? () => {
            cameFrom.set(nextCursor, cursor);
            set({ cursor: nextCursor });
          }
        : undefined,
    previous: cursor === undefined ? undefined : () => set({ cursor: cameFrom.get(cursor) }),
  };
}
