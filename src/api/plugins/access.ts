import type { FastifyInstance, RouteOptions } from 'fastify';
import { Type } from 'typebox';
import type { Scope } from '../../keys/scopes.ts';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import { problems } from '../schemas/common.ts';

/** The access that a route needs: a key with that scope; `own`: the route checks itself; `open`: no key. */
export type Needed = Scope | 'own' | 'open';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Required: the app does not start if a route lacks it. */
    scope?: Needed;
    /** True: pages of other sites may embed this page; its Content-Security-Policy says which. */
    embeddable?: boolean;
  }
}

/** The longest id of a tenant. */
export const MAX_TENANT_LENGTH = 256;

/** The scopes that keys of one tenant may have. */
const OF_TENANT = new Set<Needed | undefined>(['read', 'send', 'pull', 'manage']);

/** The query parameter of every route that works on one tenant. */
const TenantQuery = Type.String({
  maxLength: MAX_TENANT_LENGTH,
  // No `default`: a client that sends defaults would name a tenant that its key does not belong to.
  description: `The tenant that the request is about. Left out: the tenant of the key, or ${DEFAULT_TENANT} for a key of all tenants. A key of one tenant may name only its own tenant.`,
});

/** Returns true if a route works on one tenant, which `?tenant=` may name. */
export function namesTenant({ url, config }: Pick<RouteOptions, 'url' | 'config'>): boolean {
  const scope = config?.scope;
  return url.startsWith('/v1/') && OF_TENANT.has(scope);
}

/**
 * Requires every route to declare its scope, and adds to its schema the parameter `tenant` and the answers
 * for requests without access.
 */
export function declareAccess(app: FastifyInstance): void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
    if (route.schema === undefined || (route.schema as { hide?: boolean }).hide) return;
    const { scope } = route.config ?? {};
    if (scope === undefined || scope === 'open') return;
    const named = namesTenant(route);
    // Routes outside of /v1 belong to the default tenant and answer 404 to keys of others.
    const hides = named || !route.url.startsWith('/v1/');
    const { response = {}, querystring } = route.schema as {
      response?: object;
      querystring?: { properties?: object };
    };
    route.schema = {
      ...route.schema,
      response: {
        ...problems(401, 403, 429, ...(named ? [400] : []), ...(hides ? [404] : [])),
        ...response,
      },
      ...(named ? { querystring: withTenant(querystring) } : {}),
    };
  });
  // Not in `onRoute`: routes of plugins get their scope from hooks that run later.
  app.addHook('onReady', async () => {
    for (const { method, url, config } of routes) {
      if (config?.scope === undefined)
        throw new Error(`${method} ${url} does not say its scope: config: { scope: 'read' }`);
    }
  });
}

/** Adds `tenant` to the schema of a query. A route that has no query schema allows no other parameter. */
function withTenant(querystring: { properties?: object } = Type.Object({})): object {
  return {
    additionalProperties: false,
    ...querystring,
    properties: { ...querystring.properties, tenant: TenantQuery },
  };
}
