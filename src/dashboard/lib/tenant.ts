import { signal } from '@preact/signals';

/** Returns the tenant that the URL of the page names; null: it names none. */
export function tenantOfUrl(): string | null {
  // Outside of a browser, in tests, there is no URL.
  if (typeof location === 'undefined') return null;
  return new URLSearchParams(location.search).get('tenant');
}

/**
 * The tenant that the screens show. It is a signal, since a component that reads any signal is rendered again only for
 * its properties and its signals: a link would keep the tenant from before.
 */
export const shownTenant = signal(tenantOfUrl());
