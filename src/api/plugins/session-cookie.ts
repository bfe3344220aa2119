import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

/** The pages of the portal send it with every request, so that it counts by its own session and not the dashboard's. */
export const PORTAL_HEADER = 'x-posthorn-portal';

/** Whose session: that of the dashboard, or of a tenant's portal. */
export type SessionKind = 'session' | 'portal';

/** Browsers accept a cookie of such a name only over https, and from this host itself (RFC 6265bis, 4.1.3.2). */
const nameOf = (kind: SessionKind, secure: boolean) => `${secure ? '__Host-' : ''}posthorn_${kind}`;

/** Returns which session a request counts by. */
export function sessionKindOf({ headers }: FastifyRequest): SessionKind {
  return headers[PORTAL_HEADER] === undefined ? 'session' : 'portal';
}

/** Returns the token in the cookie of a request, or undefined. */
export function readSessionToken(
  app: FastifyInstance,
  { headers: { cookie } }: FastifyRequest,
  kind: SessionKind,
): string | undefined {
  if (cookie === undefined) return undefined;
  const cookies = app.parseCookie(cookie);
  return cookies[nameOf(kind, true)] ?? cookies[nameOf(kind, false)];
}

/**
 * Gives the browser the token of a session.
 *
 * No other site's request gets the cookie of the dashboard. The portal may be embedded in pages of other sites, so its
 * cookie needs `SameSite=None`, which needs https; there `Partitioned` makes it a cookie of that one embedding site,
 * which browsers accept that block cookies of third parties. What protects it is `requireOwnPage` and PORTAL_HEADER.
 */
export function setSessionCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  kind: SessionKind,
  token: string,
  expiresAt: Date,
): void {
  const secure = isSecure(request);
  const embedded = kind === 'portal' && secure;
  reply.setCookie(nameOf(kind, secure), token, {
    httpOnly: true,
    sameSite: kind === 'session' ? 'strict' : secure ? 'none' : 'lax',
    partitioned: embedded,
    path: '/',
    secure,
    expires: expiresAt,
  });
}

/** Takes the session from the browser. */
export function clearSessionCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  kind: SessionKind,
): void {
  for (const secure of isSecure(request) ? [true, false] : [false])
    reply.clearCookie(nameOf(kind, secure), {
      path: '/',
      secure,
      ...(kind === 'portal' && secure ? { sameSite: 'none', partitioned: true } : {}),
    });
}

/**
 * Returns true if the browser reached the service over https: a proxy in front of it ended TLS. A wrong header can
 * only spoil the cookie of its own sender.
 */
export function isSecure({ headers, protocol }: FastifyRequest): boolean {
  const { origin } = headers;
  if (origin !== undefined && origin !== 'null') return origin.startsWith('https:');
  return protocol === 'https' || headers['x-forwarded-proto'] === 'https';
}
