import type { FastifyInstance, FastifyRequest } from 'fastify';
import { isLoopback, type Settings } from '../../config/settings.ts';
import { isLoopback as isLoopbackAddress } from '../../http/address-guard.ts';
import { Problem } from '../problems.ts';

/**
 * Without an admin key, keeps web pages of other sites from using the API through the browser of
 * somebody who can reach it.
 *
 * Requests that a browser sends for another site's page are refused, by `Origin` and `Sec-Fetch-Site`.
 * A page can also give its own name the address 127.0.0.1 (DNS rebinding) and is then the same site: on
 * a loopback `HOST` only loopback names are answered. On another `HOST`, served by POSTHORN_AUTH=off, the
 * names that lead here are not known. With an admin key no page can show it, and nothing is checked.
 */
export function refuseForeignPages(
  app: FastifyInstance,
  { authRequired, host }: Pick<Settings, 'authRequired' | 'host'>,
): void {
  if (authRequired) return;
  const loopbackOnly = isLoopback(host);
  app.addHook('onRequest', (request, _reply, done) => {
    const reason = (loopbackOnly ? judgeName(request) : null) ?? judgeSender(request);
    done(reason === null ? undefined : new Problem('foreign-page', reason));
  });
}

/** Why the name that a request was sent to is refused, or null. HTTP/1.0 needs none; browsers send one. */
function judgeName({ headers }: FastifyRequest): string | null {
  const { host } = headers;
  if (host === undefined || isLoopbackName(host)) return null;
  return `This API has no admin key, so it answers only requests whose Host is localhost, 127.0.0.1 or [::1], not "${host}": a web page could give such a name to this machine. Send one of these, or set POSTHORN_ADMIN_KEY.`;
}

/** Whether the value of a Host header leads to this machine wherever it is asked for: RFC 6761, 6.3. */
export function isLoopbackName(host: string): boolean {
  const [, bracketed, name = ''] =
    /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(host) ?? [];
  if (bracketed !== undefined) return isLoopbackAddress(bracketed);
  return isLoopbackAddress(name) || /^(?:[\w-]+\.)*localhost$/i.test(name);
}

/** Why whoever made the browser send a request is refused, or null. Others send neither header. */
function judgeSender(request: FastifyRequest): string | null {
  const { host = '', origin, 'sec-fetch-site': site } = request.headers;
  const sender = origin !== undefined && !isOriginOf(origin, host) ? `"${origin}"` : null;
  const foreign = sender !== null || !(site === undefined || OWN_SITE.has(String(site)));
  if (!foreign || (sender === null && isVisit(request))) return null;
  return `A browser sent this for a page of another site${sender === null ? '' : `, ${sender}`}. This API has no admin key, so it takes requests only from its own pages and from programs that are no browser. Use one of these, or set POSTHORN_ADMIN_KEY.`;
}

const OWN_SITE = new Set(['same-origin', 'none']);

function isOriginOf(origin: string, host: string): boolean {
  const url = URL.parse(origin);
  // The port may be left out where it is the scheme's.
  return (
    url !== null && url.host !== '' && url.host === URL.parse(`${url.protocol}//${host}`)?.host
  );
}

/** Whether somebody followed a link to a page that shows no data, such as /api/docs/. */
function isVisit({ method, headers, routeOptions }: FastifyRequest): boolean {
  return (
    method === 'GET' &&
    routeOptions.config.scope === 'open' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  );
}
