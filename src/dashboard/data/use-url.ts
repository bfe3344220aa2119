import { useLocation } from 'preact-iso/router';
import { withQuery } from '../lib/urls.ts';

/**
 * The state of a screen that is in its URL: filters, the page of a list, a chosen tab.
 *
 * @example
 * const { query, set } = useUrl();
 * <Select value={query.state} onChange={(state) => set({ state, cursor: undefined })} />
 */
export function useUrl() {
  const { url, path, query, route } = useLocation();
  return {
    path,
    query: query as Readonly<Partial<Record<string, string>>>,
    /** Changes parameters of the query; empty ones go. `replace`: without a new entry in the browser's history. */
    set(changes: Readonly<Record<string, string | number | undefined>>, replace = false): void {
      route(withQuery(url, changes), replace);
    },
    /** Returns the URL of this screen with some parameters of the query changed, for a link. */
    link: (changes: Readonly<Record<string, string | number | undefined>>) =>
      withQuery(url, changes),
    /** Goes to a URL of `to()`. */
    go: route,
  };
}
