import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Access } from '../../keys/keyring.ts';
import type { Scope } from '../../keys/scopes.ts';
import type { TenantCache } from '../../tenants/cache.ts';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { isStorable } from '../storable.ts';
import { MAX_TENANT_LENGTH, namesTenant } from './access.ts';
import { type Identification, unauthorized } from './identify.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The access that the request has; null: it has no key, and the route checks a signature. */
    access: Access | null;
    /** The tenant that the request is limited to. */
    tenant: string;
  }
  interface FastifyInstance {
    /**
     * Checks again whether a request may be answered, for answers that take long: its key may have ended.
     *
     * @throws Problem (401, 403, 404) if it may not.
     */
    checkAccess: (request: FastifyRequest) => Promise<void>;
  }
}

/**
 * Authenticates every request by its key or its session, and checks the scope and the tenant.
 *
 * If an admin key is set, every request must have it or a key of the table. If not, the API is open, but
 * a request with a key is limited to that key's tenant, scopes and expiry.
 */
export function registerAuth(
  app: FastifyInstance,
  identification: Identification,
  tenants: TenantCache,
): void {
  app.decorateRequest('access', null);
  app.decorateRequest('tenant', DEFAULT_TENANT);

  // With a callback, since most decisions need only memory and then cost no promise.
  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.scope === 'open' || request.is404) return done();
    let admitted: Promise<void> | undefined;
    try {
      const access = identification.ofRequest(request);
      admitted =
        access instanceof Promise
          ? access.then((found) => admit(request, found))
          : admit(request, access);
    } catch (problem) {
      return done(problem as Error);
    }
    if (admitted === undefined) return done();
    admitted.then(() => done(), done);
  });

  app.decorate('checkAccess', async (request) => {
    await admit(request, await identification.ofRequest(request));
  });

  /** Checks the route's scope and the key's tenant. */
  function admit(request: FastifyRequest, access: Access | null): Promise<void> | undefined {
    const { config, url = '' } = request.routeOptions;
    const scope = config.scope as Scope | 'own';
    request.access = access;
    if (access?.includes?.(request.method, url) === false)
      throw new Problem('forbidden', 'This is not a part of this portal.');
    if (scope === 'own') return undefined;
    if (access === null) throw missingKey();
    if (namesTenant({ url, config })) {
      if (!access.allowed.has(scope)) throw missingScope(scope, access);
      const { tenant } = request.query as { tenant?: unknown };
      request.tenant = access.tenant ?? DEFAULT_TENANT;
      return tenant === undefined ? undefined : nameTenant(request, access, tenant);
    }
    if (!url.startsWith('/v1/') && access.tenant !== null && access.tenant !== DEFAULT_TENANT) {
      throw new Problem(
        'not-found',
        `The routes outside of /v1 are for the tenant ${DEFAULT_TENANT}, and this key belongs to another tenant; use /v1.`,
      );
    }
    if (!access.allowed.has(scope)) throw missingScope(scope, access);
    if (!url.startsWith('/v1/') && (request.query as { tenant?: unknown }).tenant !== undefined)
      throw invalidField(
        'query.tenant',
        `is not allowed outside of /v1, where all routes are for the tenant ${DEFAULT_TENANT}; use /v1`,
      );
    return undefined;
  }

  /** Sets the tenant that the request names. A key of one tenant gets 404 for all others. */
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

/** Returns true if the access includes that tenant. Without a key (null), the route checks a signature. */
export function maySee(access: Access | null, tenant: string): boolean {
  return access === null || access.tenant === null || access.tenant === tenant;
}

/** The 401 for a request without a key. */
function missingKey(): Problem {
  return unauthorized('The request has no key. Send it as a header: Authorization: Bearer <key>.');
}

/** The 403 for a key without the scope. */
export function missingScope(scope: Scope, access?: Access): Problem {
  if (access?.keyId === 'portal')
    return new Problem('forbidden', 'This portal was opened for reading only.');
  return new Problem(
    'forbidden',
    `This key lacks the scope "${scope}", which this route requires.`,
  );
}
