import { shownTenant } from './tenant.ts';

type Value = string | number | null | undefined;

/** The path under which this page's screens are: the same bundle is the dashboard and the portal. */
export function basePath(pathname: string): '/dashboard' | '/portal' {
  return pathname === '/portal' || pathname.startsWith('/portal/') ? '/portal' : '/dashboard';
}

/** True: this page is the portal of a tenant. */
export function isPortal(): boolean {
  return basePath(location.pathname) === '/portal';
}

/**
 * Returns the URL of a screen, in the tenant that the page shows now.
 *
 * @param path such as `webhooks` or `webhooks/0189…`; empty: the first screen.
 * @example
 * <a href={to('webhooks', { event_type: 'order.created' })}>…</a>
 */
export function to(path: string, query: Readonly<Record<string, Value>> = {}): string {
  const base = basePath(location.pathname);
  const tenant = shownTenant.value;
  const first = base === '/dashboard' && path === '' ? '/' : base;
  return `${path === '' ? first : `${base}/${path}`}${write({ tenant, ...query })}`;
}

/** Returns a URL with some parameters of its query changed; empty ones are left out. */
export function withQuery(url: string, changes: Readonly<Record<string, Value>>): string {
  const { pathname, searchParams } = new URL(url, 'http://any');
  return `${pathname}${write({ ...Object.fromEntries(searchParams), ...changes })}`;
}

function write(query: Readonly<Record<string, Value>>): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

/** Returns a URL that data gave, if a link may lead there: `javascript:` and the like must not run here. */
export function safeHref(url: string): string | undefined {
  const protocol = URL.parse(url)?.protocol;
  return protocol === 'http:' || protocol === 'https:' ? url : undefined;
}
