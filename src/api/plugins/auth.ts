import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify';
import type { Settings } from '../../config.ts';
import type { Scope } from '../../keys/scopes.ts';
import { DEFAULT_TENANT } from '../../subscriptions/store.ts';
import { Problem } from '../problems.ts';

/** What a route needs: a key with that scope; `own`: it checks for itself; `open`: nothing. */
export type Needed = Scope | 'own' | 'open';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route says it; the app does not start otherwise. */
    scope?: Needed;
  }
  interface FastifyRequest {
    /** Whether the request shows the admin key, or needs none. */
    hasKey: boolean;
    /** Whose subscriptions, webhooks and deliveries the request is about, and no others. */
    tenant: string;
  }
}

/** With an admin key set, requests must show it: `Authorization: Bearer <key>`. */
export function registerAuth(app: FastifyInstance, settings: Settings): void {
  const expected = settings.authRequired ? digest(settings.adminKey ?? '') : undefined;
  requireScopes(app);
  app.decorateRequest('hasKey', false);
  app.decorateRequest('tenant', DEFAULT_TENANT);
  app.addHook('onRequest', async (request) => {
    request.hasKey = expected === undefined || isBearer(request, expected);
    if (request.hasKey || request.is404) return;
    const { scope } = request.routeOptions.config;
    if (scope !== 'open' && scope !== 'own') throw missingKey();
  });
}

/** Refuses to start with a route of which nobody has said who may call it. */
function requireScopes(app: FastifyInstance): void {
  const routes: RouteOptions[] = [];
  app.addHook('onRoute', (route) => void routes.push(route));
  // Not in `onRoute`: plugins' routes get their scope by hooks of their own, which run later.
  app.addHook('onReady', async () => {
    for (const { method, url, config } of routes) {
      if (config?.scope === undefined)
        throw new Error(`${method} ${url} does not say its scope: config: { scope: 'read' }`);
    }
  });
}

/** The 401 for a request without the key. */
export function missingKey(): Problem {
  return new Problem(
    'unauthorized',
    'Send the admin key: Authorization: Bearer <POSTHORN_ADMIN_KEY>.',
    {
      headers: { 'www-authenticate': 'Bearer' },
    },
  );
}

function isBearer(request: FastifyRequest, expected: Buffer): boolean {
  const match = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '');
  // Digests have one length, so the comparison tells nothing about the key's.
  return match !== null && timingSafeEqual(digest(match[1] as string), expected);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
