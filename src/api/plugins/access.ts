import type { FastifyInstance, RouteOptions } from 'fastify';
import { Type } from 'typebox';
import type { Scope } from '../../keys/scopes.ts';
import { DEFAULT_TENANT } from '../../tenants/store.ts';
import { problems } from '../schemas/common.ts';

/** What a route needs: a key with that scope; `own`: it checks for itself; `open`: nothing. */
export type Needed = Scope | 'own' | 'open';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route says it; the app does not start otherwise. */
    scope?: Needed;
  }
}

/** The longest id that a tenant has. */
export const MAX_TENANT_LENGTH = 256;

/** The query parameter of every route that is about a tenant's things. */
const TenantQuery = Type.String({
  maxLength: MAX_TENANT_LENGTH,
  // No `default`: a client that sends defaults would name a tenant that its key is not of.
  description: `Whose: ${DEFAULT_TENANT}, where it is left out. A tenant's own key need not say it, and may say no other.`,
});

/** Whether a route is about the things of one tenant, which `?tenant=` may name. */
export function namesTenant({ url, config }: Pick<RouteOptions, 'url' | 'config'>): boolean {
  const scope = config?.scope;
  return url.startsWith('/v1/') && (scope === 'read' || scope === 'send' || scope === 'manage');
}

/**
 * Sees to it that every route says who may call it, and writes into its schema what follows: the
 * parameter `tenant`, and the answers to those who may not.
 */
export function declareAccess(app: FastifyInstance): void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => {
    routes.push(route);
    if (route.schema === undefined || (route.schema as { hide?: boolean }).hide) return;
    const { scope } = route.config ?? {};
    if (scope === undefined || scope === 'open') return;
    const named = namesTenant(route);
    // Outside of /v1 all is of one tenant, and is not there for the keys of others.
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
  // Not in `onRoute`: plugins' routes get their scope by hooks of their own, which run later.
  app.addHook('onReady', async () => {
    for (const { method, url, config } of routes) {
      if (config?.scope === undefined)
        throw new Error(`${method} ${url} does not say its scope: config: { scope: 'read' }`);
    }
  });
}

/** A schema of the query with `tenant` in it. Without one, nothing else is known there. */
function withTenant(querystring: { properties?: object } = Type.Object({})): object {
  return {
    additionalProperties: false,
    ...querystring,
    properties: { ...querystring.properties, tenant: TenantQuery },
  };
}
