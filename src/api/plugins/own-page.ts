import type { FastifyRequest } from 'fastify';
import { Problem } from '../problems.ts';

/** The header that our own pages send with every request that changes something. */
export const CSRF_HEADER = 'x-posthorn-csrf';

const OWN_SITE = new Set(['same-origin', 'none']);
const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Returns who sent a request, if a browser sent it for a page that is not of this service; else null. Programs that
 * are not browsers send neither `Origin` nor `Sec-Fetch-Site`.
 */
export function foreignPageOf({ headers }: FastifyRequest): string | null {
  const { host = '', origin, 'sec-fetch-site': site } = headers;
  if (origin !== undefined && !isOriginOf(origin, host)) return `another site, "${origin}"`;
  return site === undefined || OWN_SITE.has(String(site)) ? null : 'another site';
}

/**
 * Requires that a request does not come from a page of another origin.
 *
 * @throws Problem (403).
 */
export function refuseForeignPage(request: FastifyRequest): void {
  const site = request.headers['sec-fetch-site'];
  // The browser compares origins itself, even behind a proxy that gives requests another Host.
  const own = site === undefined ? foreignPageOf(request) === null : OWN_SITE.has(String(site));
  if (own) return;
  throw new Problem(
    'foreign-page',
    'A browser sent this request for a page of another site, which may not use the session of its user. Programs send a key instead: Authorization: Bearer <key>.',
  );
}

/**
 * Requires that a request with the cookie of a session comes from one of our own pages, because a browser also adds
 * cookies to requests of other pages. A page of another origin can set the header only if this service allows it
 * (CORS), which it never does.
 *
 * @throws Problem (403).
 */
export function requireOwnPage(request: FastifyRequest): void {
  refuseForeignPage(request);
  if (SAFE_METHODS.has(request.method) || request.headers[CSRF_HEADER] !== undefined) return;
  throw new Problem(
    'foreign-page',
    `A request that changes something with the cookie of a session needs the header ${CSRF_HEADER}: 1, which pages of other sites cannot send.`,
  );
}

/** Returns true if an origin has that Host. */
function isOriginOf(origin: string, host: string): boolean {
  const url = URL.parse(origin);
  // Parsed as URLs, since the default port of the scheme may be left out.
  return (
    url !== null && url.host !== '' && url.host === URL.parse(`${url.protocol}//${host}`)?.host
  );
}
