import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { hashKey, isKey, looksLikeKey } from '../../keys/format.ts';
import type { Access, Keyring, KnownKey } from '../../keys/keyring.ts';
import { allowedBy } from '../../keys/scopes.ts';
import type { BrowserSession, Sessions } from '../../sessions/sessions.ts';
import { Problem } from '../problems.ts';
import { requireOwnPage } from './own-page.ts';
import { portalAccess } from './portal-access.ts';
import { PORTAL_HEADER, readSessionToken, sessionKindOf } from './session-cookie.ts';

const ADMIN: Access = { tenant: null, allowed: allowedBy(['admin']), keyId: 'admin' };
/** The access of requests without a key, if none is required. */
export const ANYBODY: Access = { ...ADMIN, keyId: null };

export interface IdentifyDeps {
  readonly settings: Pick<Settings, 'authRequired' | 'adminKey'>;
  readonly keyring: Keyring;
  readonly sessions: Sessions;
}

export interface Identification {
  /**
   * Returns the access of a request: of the key in its Authorization header, or else of the session in its cookie.
   * Null: it has neither, and the API requires a key. Without a promise if only memory is needed.
   *
   * @throws Problem (401) if the key or the session is not valid, (403) if a page of another site may have sent the
   *   request with the cookie of a session.
   */
  ofRequest(request: FastifyRequest): Access | null | Promise<Access | null>;
  /**
   * Returns the access that a key gives.
   *
   * @throws Problem (401) if the key is malformed, unknown, revoked or expired.
   */
  ofKey(key: string): Access | Promise<Access>;
  /**
   * Returns the access that a session in a portal gives.
   *
   * @throws Problem (401) if the session is another one, or the key that opened it is not valid any more.
   */
  ofPortal(session: BrowserSession): Promise<Access>;
}

/** Finds out whose requests are. */
export function createIdentification(
  app: FastifyInstance,
  { settings, keyring, sessions }: IdentifyDeps,
): Identification {
  const admin = settings.authRequired ? hashKey(settings.adminKey ?? '') : undefined;

  function ofRequest(request: FastifyRequest): Access | null | Promise<Access | null> {
    const token = readBearer(request);
    // If no key is required, the header may be meant for another system, such as a proxy.
    if (token === undefined || (admin === undefined && !looksLikeKey(token)))
      return ofCookie(request);
    const hash = hashKey(token);
    // A source that signs may send an Authorization header for another system.
    const signed = request.routeOptions.config.scope === 'own';
    if (signed && !looksLikeKey(token) && !isAdminKey(hash)) return null;
    return ofText(token, hash);
  }

  function ofText(token: string, hash: Buffer): Access | Promise<Access> {
    if (isAdminKey(hash)) return ADMIN;
    if (isKey(token)) return ofHash(hash);
    throw unauthorized(
      looksLikeKey(token)
        ? 'The key is mistyped or cut off: its last six characters, a checksum, do not match the rest.'
        : 'The request does not contain a key of this service.',
    );
  }

  function ofHash(hash: Buffer): Access | Promise<Access> {
    const key = keyring.find(hash);
    return key instanceof Promise ? key.then(requireGood) : requireGood(key);
  }

  /** Hashes have one length, so the comparison reveals nothing about the length of the key. */
  function isAdminKey(hash: Buffer): boolean {
    return admin !== undefined && timingSafeEqual(hash, admin);
  }

  function ofCookie(request: FastifyRequest): Access | null | Promise<Access> {
    const kind = sessionKindOf(request);
    const token = readSessionToken(app, request, kind);
    if (token === undefined) {
      if (kind === 'portal') throw unauthorized(NO_PORTAL);
      return admin === undefined ? ANYBODY : null;
    }
    requireOwnPage(request);
    return kind === 'portal' ? ofPortalToken(request, token) : ofSession(token);
  }

  async function ofSession(token: string): Promise<Access> {
    const session = await sessions.find(token);
    if (session !== null && session.portal === null) return await accessOf(session);
    // The cookie may be left from a time when a key was required.
    if (admin === undefined) return ANYBODY;
    throw unauthorized('The session has ended. Sign in again.');
  }

  async function ofPortalToken(request: FastifyRequest, token: string): Promise<Access> {
    const session = await sessions.find(token);
    const access = session && (await ofPortal(session));
    if (access === null) throw unauthorized(NO_PORTAL);
    const opened = request.headers[PORTAL_HEADER];
    if (opened === '1' || opened === encodeURIComponent(access.tenant ?? '')) return access;
    throw unauthorized(
      'The portal of another tenant was opened in this browser. Open this page again from where you came.',
    );
  }

  async function ofPortal(session: BrowserSession): Promise<Access> {
    if (session.portal === null) throw unauthorized(NO_PORTAL);
    // The portal is limited to less than its key may, and ends with it.
    await accessOf(session);
    return portalAccess(session.portal);
  }

  function accessOf({ keyHash }: BrowserSession): Access | Promise<Access> {
    return keyHash === null ? ADMIN : ofHash(keyHash);
  }

  function requireGood(key: KnownKey | null): Access {
    if (key === null) throw unauthorized('This key does not exist.');
    if (key.revokedAt !== null) throw unauthorized('This key was revoked.');
    if (key.expiresAt !== null && key.expiresAt.getTime() <= Date.now())
      throw unauthorized(`This key expired at ${key.expiresAt.toISOString()}.`);
    keyring.noteUse(key);
    return key;
  }

  return { ofRequest, ofPortal, ofKey: (key) => ofText(key, hashKey(key)) };
}

const NO_PORTAL = 'This page has ended. Open it again from where you came.';

/** The 401 for a request without a valid key. */
export function unauthorized(detail: string): Problem {
  return new Problem('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

/** Returns the text of the bearer token in the Authorization header, or undefined. */
export function readBearer({ headers }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  if (authorization === undefined) return undefined;
  return /^Bearer +(.+)$/i.exec(authorization)?.[1];
}
