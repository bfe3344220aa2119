import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isLoopback, type Settings } from '../../config/settings.ts';
import { isLoopback as isLoopbackAddress } from '../../http/address-guard.ts';
import { Problem } from '../problems.ts';
import { foreignPageOf } from './own-page.ts';

/**
 * Without an admin key, keeps web pages of other sites from using the API through a browser that can
 * reach it.
 *
 * Requests that a browser sends for another site's page are refused, by `Origin` and `Sec-Fetch-Site`.
 * A page can also give its own name the address of this API (DNS rebinding) and is then the same site. So only
 * loopback names and those of POSTHORN_ALLOW_HOSTS are answered. Without that setting and with a `HOST` that is
 * not loopback (POSTHORN_AUTH=off), the names that lead here are not known, and all are answered. With an admin
 * key nothing is checked, because no page can show it.
 */
export function refuseForeignPages(
  app: FastifyInstance,
  { authRequired, host, allowHosts }: Pick<Settings, 'authRequired' | 'host' | 'allowHosts'>,
): void {
  if (authRequired) return;
  const allowed = allowHosts ?? (isLoopback(host) ? new Set<string>() : undefined);
  app.addHook('onRequest', (request, _reply, done) => {
    const reason =
      (allowed === undefined ? null : judgeName(request, allowed)) ?? judgeSender(request);
    done(reason === null ? undefined : new Problem('foreign-page', reason));
  });
}

/** Returns why the Host of a request is refused, or null. HTTP/1.0 needs no Host, but browsers always send it. */
function judgeName({ headers }: FastifyRequest, allowed: ReadonlySet<string>): string | null {
  const { host } = headers;
  if (host === undefined || isLoopbackName(host)) return null;
  if (allowed.has(host.replace(/:\d{1,5}$/, '').toLowerCase())) return null;
  return `This API has no admin key, so it answers only requests whose Host is ${['localhost', '127.0.0.1', '[::1]', ...allowed].join(', ')}, not "${host}": a web page could give such a name to this machine. Use such a Host, name yours in POSTHORN_ALLOW_HOSTS, or set POSTHORN_ADMIN_KEY.`;
}

/** Returns true if a Host header names this machine for every resolver (RFC 6761, 6.3). */
export function isLoopbackName(host: string): boolean {
  const [, bracketed, name = ''] =
    /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(host) ?? [];
  if (bracketed !== undefined) return isLoopbackAddress(bracketed);
  return isLoopbackAddress(name) || /^(?:[\w-]+\.)*localhost$/i.test(name);
}

/** Returns why a browser's request for another site's page is refused, or null. Other clients send neither header. */
function judgeSender(request: FastifyRequest): string | null {
  const page = foreignPageOf(request);
  if (page === null || (request.headers.origin === undefined && isVisit(request))) return null;
  return `A browser sent this request for a page of ${page}. This API has no admin key, so it accepts requests only from its own pages and from programs that are not browsers. Use one of these, or set POSTHORN_ADMIN_KEY.`;
}

/** Returns true if a user followed a link to a page that has no data, such as /api/docs/, or a page embeds the portal. */
function isVisit({ method, headers, routeOptions }: FastifyRequest): boolean {
  return (
    method === 'GET' &&
    routeOptions.config.scope === 'open' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    (headers['sec-fetch-dest'] === 'document' ||
      (headers['sec-fetch-dest'] === 'iframe' && routeOptions.config.embeddable === true))
  );
}
