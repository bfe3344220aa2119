import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { formatDuration } from '../../lib/duration.ts';
import type { Rate } from '../../lib/rate.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts a request for its tenant, where only the route finds out whose it is; null when there is
     * no limit to keep.
     */
    countForTenant: ((request: FastifyRequest) => Promise<void>) | null;
  }
}

/** No client of ours, nor any proxy before it, needs half of them. */
const MAX_HEADERS = 100;
/** Keys and tenants that are counted at once; of more, those that asked longest ago are forgotten. */
const MAX_COUNTED = 50_000;

/** Refuses requests with more headers than anybody needs. Their size is the HTTP parser's to bound. */
export function limitHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    // Names and values take turns in it.
    const headers = request.raw.rawHeaders.length / 2;
    if (headers <= MAX_HEADERS) return done();
    done(
      new Problem(
        'headers-too-large',
        `There are ${headers} headers; send at most ${MAX_HEADERS}.`,
      ),
    );
  });
}

/**
 * Keeps the requests of a key, and those of a tenant, within their limits.
 *
 * They are counted in each process for itself: shared counts would cost a round trip to the database
 * for each request, more than most requests cost.
 */
export async function registerLimits(
  app: FastifyInstance,
  { rateLimit: ofKey, tenantRateLimit: ofTenant }: Pick<Settings, 'rateLimit' | 'tenantRateLimit'>,
): Promise<void> {
  if (ofKey === undefined && ofTenant === undefined) {
    app.decorate('countForTenant', null);
    return;
  }

  await app.register(rateLimit, { global: false, cache: MAX_COUNTED });

  function createCount(rate: Rate, whose: string, name: (request: FastifyRequest) => string) {
    const take = app.createRateLimit({
      max: rate.limit,
      timeWindow: rate.perMs,
      keyGenerator: name,
    });
    return async (request: FastifyRequest) => {
      const taken = await take(request);
      if (taken.isAllowed || !taken.isExceeded) return;
      throw new Problem(
        'too-many-requests',
        `${whose} may make ${rate.limit} requests in ${formatDuration(rate.perMs)}; the next one in ${taken.ttlInSeconds}s.`,
        { headers: { 'retry-after': String(taken.ttlInSeconds) } },
      );
    };
  }
  const countForKey =
    ofKey && createCount(ofKey, 'This key', ({ access }) => String(access?.keyId));
  const countForTenant = ofTenant && createCount(ofTenant, 'This tenant', ({ tenant }) => tenant);
  app.decorate('countForTenant', countForTenant ?? null);

  app.addHook('onRequest', async (request) => {
    const { access, routeOptions } = request;
    const { scope } = routeOptions.config;
    if (access === null || request.is404) return;
    if (access.keyId !== null) await countForKey?.(request);
    if (scope !== 'own' && scope !== 'admin') await countForTenant?.(request);
  });
}
