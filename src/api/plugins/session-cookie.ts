import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';

const NAME = 'posthorn_session';
/** Browsers accept a cookie of this name only over https, and from this host itself (RFC 6265bis, 4.1.3.2). */
const SECURE_NAME = `__Host-${NAME}`;

/** Returns the token in the session cookie of a request, or undefined. */
export function readSessionToken(
  app: FastifyInstance,
  { headers: { cookie } }: FastifyRequest,
): string | undefined {
  if (cookie === undefined) return undefined;
  const cookies = app.parseCookie(cookie);
  return cookies[SECURE_NAME] ?? cookies[NAME];
}

/** Gives the browser a session, until it is closed or the session ends. */
export function setSessionCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  token: string,
  expiresAt: Date,
): void {
  const secure = isSecure(request);
  reply.setCookie(secure ? SECURE_NAME : NAME, token, {
    httpOnly: true,
    sameSite: 'strict',
    path: '/',
    secure,
    expires: expiresAt,
  });
}

/** Takes the session from the browser. */
export function clearSessionCookie(request: FastifyRequest, reply: FastifyReply): void {
  for (const name of isSecure(request) ? [NAME, SECURE_NAME] : [NAME])
    reply.clearCookie(name, { path: '/', secure: name === SECURE_NAME });
}

/**
 * Returns true if the browser reached the service over https: a proxy in front of it ended TLS. A wrong header can
 * only spoil the cookie of its own sender.
 */
function isSecure({ headers, protocol }: FastifyRequest): boolean {
  const { origin } = headers;
  if (origin !== undefined && origin !== 'null') return origin.startsWith('https:');
  return protocol === 'https' || headers['x-forwarded-proto'] === 'https';
}
