import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../../config.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** `open`: no key is needed. `own`: the route checks for itself, by `request.hasKey`. */
    auth?: 'open' | 'own';
  }
  interface FastifyRequest {
    /** Whether the request shows the admin key, or needs none. */
    hasKey: boolean;
  }
}

/** With an admin key set, requests must show it: `Authorization: Bearer <key>`. */
export function registerAuth(app: FastifyInstance, settings: Settings): void {
  const expected = settings.authRequired ? digest(settings.adminKey ?? '') : undefined;
  app.decorateRequest('hasKey', false);
  app.addHook('onRequest', async (request) => {
    request.hasKey = expected === undefined || isBearer(request, expected);
    if (!request.hasKey && request.routeOptions.config.auth === undefined && !request.is404)
      throw missingKey();
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
