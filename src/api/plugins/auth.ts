import { timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { isKey, looksLikeKey } from '../../keys/format.ts';
import type { Access, Keyring, KnownKey } from '../../keys/keyring.ts';
import { allowedBy, type Scope } from '../../keys/scopes.ts';
import { hashKey } from '../../keys/store.ts';
import type { TenantCache } from '../../tenants/cache.ts';
import { DEFAULT_TENANT } from '../../tenants/store.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { isStorable } from '../storable.ts';
import { MAX_TENANT_LENGTH, namesTenant } from './access.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the request may do; null where it shows no key and the route looks for other proof. */
    access: Access | null;
    /** Whose subscriptions, webhooks and deliveries the request is about, and no others. */
    tenant: string;
  }
}

export interface AuthDeps {
  readonly settings: Settings;
  readonly keyring: Keyring;
  readonly tenants: TenantCache;
}

/** Who shows the admin key, and who needs none. */
const ADMIN: Access = { tenant: null, allowed: allowedBy(['admin']), keyId: 'admin' };
const ANYBODY: Access = { ...ADMIN, keyId: null };

/**
 * Finds out who asks and whether he may: a key, its scope, its tenant.
 *
 * With an admin key set, every request must show it or a key of the table. Without one the API is
 * open, but who shows a key is held to it: to its tenant, its scopes and its end.
 */
export function registerAuth(app: FastifyInstance, { settings, keyring, tenants }: AuthDeps): void {
  const admin = settings.authRequired ? hashKey(settings.adminKey ?? '') : undefined;
  app.decorateRequest('access', null);
  app.decorateRequest('tenant', DEFAULT_TENANT);

  // With a callback: what is in memory is decided at once, without a promise.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.scope === 'open' || request.is404) return done();
    let asked: Promise<void> | undefined;
    try {
      const access = identify(request);
      asked =
        access instanceof Promise
          ? access.then((found) => admit(request, found))
          : admit(request, access);
    } catch (problem) {
      return done(problem as Error);
    }
    if (asked === undefined) return done();
    asked.then(() => done(), done);
  });

  /** @throws Problem (401) for what is no key, or one that is not good any more. */
  function identify(request: FastifyRequest): Access | null | Promise<Access> {
    const token = readBearer(request);
    if (token === undefined) return admin === undefined ? ANYBODY : null;
    // Without a key to be shown, the header is somebody else's, such as a proxy's.
    if (admin === undefined && !looksLikeKey(token)) return ANYBODY;
    const hash = hashKey(token);
    // Hashes have one length, so the comparison tells nothing about the key's.
    if (admin !== undefined && timingSafeEqual(hash, admin)) return ADMIN;
    if (!isKey(token)) {
      // Who signs may send a header that means something to others.
      if (request.routeOptions.config.scope === 'own' && !looksLikeKey(token)) return null;
      throw unauthorized(
        looksLikeKey(token)
          ? 'The key is mistyped or cut off: its last six characters do not fit the others.'
          : 'What the Authorization header shows is no key of this service.',
      );
    }
    const key = keyring.find(hash);
    return key instanceof Promise ? key.then(requireGood) : requireGood(key);
  }

  function requireGood(key: KnownKey | null): Access {
    if (key === null) throw unauthorized('There is no such key.');
    if (key.revokedAt !== null) throw unauthorized('This key was revoked.');
    if (key.expiresAt !== null && key.expiresAt.getTime() <= Date.now())
      throw unauthorized(`This key expired at ${key.expiresAt.toISOString()}.`);
    keyring.noteUse(key);
    return key;
  }

  /** Decides by the route's scope and the key's tenant. */
  function admit(request: FastifyRequest, access: Access | null): Promise<void> | undefined {
    const { config, url = '' } = request.routeOptions;
    const scope = config.scope as Scope | 'own';
    request.access = access;
    if (scope === 'own') return undefined;
    if (access === null) throw missingKey();
    if (namesTenant({ url, config })) {
      if (!access.allowed.has(scope)) throw missingScope(scope);
      const { tenant } = request.query as { tenant?: unknown };
      request.tenant = access.tenant ?? DEFAULT_TENANT;
      return tenant === undefined ? undefined : nameTenant(request, access, tenant);
    }
    if (!url.startsWith('/v1/') && access.tenant !== null && access.tenant !== DEFAULT_TENANT) {
      throw new Problem(
        'not-found',
        `The routes outside of /v1 are those of the tenant ${DEFAULT_TENANT}, and this key is of another; use /v1.`,
      );
    }
    if (!access.allowed.has(scope)) throw missingScope(scope);
    if (!url.startsWith('/v1/') && (request.query as { tenant?: unknown }).tenant !== undefined)
      throw invalidField(
        'query.tenant',
        `is not known outside of /v1: that is ${DEFAULT_TENANT}'s`,
      );
    return undefined;
  }

  /** A key of one tenant may name it, and is told of any other that there is none. */
  function nameTenant(
    request: FastifyRequest,
    access: Access,
    tenant: unknown,
  ): Promise<void> | undefined {
    if (typeof tenant !== 'string') throw invalidField('query.tenant', 'must be given once');
    if (tenant === request.tenant) return undefined;
    if (access.tenant !== null || !isStorable(tenant) || tenant.length > MAX_TENANT_LENGTH)
      throw notFound('tenant', tenant);
    request.tenant = tenant;
    if (tenants.peek(tenant) === true) return undefined;
    return tenants.get(tenant).then((exists) => {
      if (exists === null) throw notFound('tenant', tenant);
    });
  }
}

/** Whether somebody may see that tenant's things; who shows no key has to give other proof. */
export function maySee(access: Access | null, tenant: string): boolean {
  return access === null || access.tenant === null || access.tenant === tenant;
}

/** The 401 for a request without a key. */
function missingKey(): Problem {
  return unauthorized('Send a key: Authorization: Bearer <key>.');
}

/** The 403 for a key that may not do that. */
export function missingScope(scope: Scope): Problem {
  return new Problem('forbidden', `This key lacks the scope "${scope}", which this needs.`);
}

function unauthorized(detail: string): Problem {
  return new Problem('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

function readBearer({ headers }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  if (authorization === undefined) return undefined;
  return /^Bearer +(.+)$/i.exec(authorization)?.[1];
}
