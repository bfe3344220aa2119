import rateLimit from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { formatDuration } from '../../lib/duration.ts';
import type { Rate } from '../../lib/rate.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts a request against its tenant's limit, for routes that find out the tenant themselves; null
     * if there is no limit.
     */
    countForTenant: ((request: FastifyRequest) => Promise<void>) | null;
    /** Counts a try to sign in with a text that may be a guess of the admin key, by the address of the client. */
    countSignIn: (request: FastifyRequest) => Promise<void>;
  }
}

/** At least twice as many as known clients and the proxies before them send. */
const MAX_HEADERS = 100;
/** Keys and tenants that are counted at once; beyond that, the least recently seen are forgotten. */
const MAX_COUNTED = 50_000;

/** Tries to sign in with the admin key, of each address. People mistype; a program that guesses needs millions. */
const SIGN_INS: Rate = { limit: 30, perMs: 60_000 };

/** Refuses requests with too many headers. (The HTTP parser limits their size.) */
export function limitHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    // It has a name and a value for each header.
    const headers = request.raw.rawHeaders.length / 2;
    if (headers <= MAX_HEADERS) return done();
    done(
      new Problem(
        'headers-too-large',
        `The request has ${headers} headers; send at most ${MAX_HEADERS}.`,
      ),
    );
  });
}

/**
 * Limits the rate of requests for each key and each tenant.
 *
 * Each process counts for itself: shared counts would cost a round trip to the database for each request,
 * more than most requests cost.
 */
export async function registerLimits(
  app: FastifyInstance,
  { rateLimit: ofKey, tenantRateLimit: ofTenant }: Pick<Settings, 'rateLimit' | 'tenantRateLimit'>,
): Promise<void> {
  await app.register(rateLimit, { global: false, cache: MAX_COUNTED });

  function createCount(rate: Rate, subject: string, keyOf: (request: FastifyRequest) => string) {
    const count = app.createRateLimit({
      max: rate.limit,
      timeWindow: rate.perMs,
      keyGenerator: keyOf,
    });
    return async (request: FastifyRequest) => {
      const result = await count(request);
      if (result.isAllowed || !result.isExceeded) return;
      throw new Problem(
        'too-many-requests',
        `${subject} ${rate.limit} requests in ${formatDuration(rate.perMs)}; try again in ${result.ttlInSeconds}s.`,
        { headers: { 'retry-after': String(result.ttlInSeconds) } },
      );
    };
  }
  const countForKey =
    ofKey &&
    createCount(ofKey, 'This key may make', ({ access }) =>
      access?.keyId === 'portal' ? `portal ${access.tenant}` : String(access?.keyId),
    );
  const countForTenant =
    ofTenant && createCount(ofTenant, 'This tenant may make', ({ tenant }) => tenant);
  app.decorate('countForTenant', countForTenant ?? null);
  app.decorate(
    'countSignIn',
    createCount(SIGN_INS, 'To sign in with the admin key, this address may make', ({ ip }) => ip),
  );
  if (countForKey === undefined && countForTenant === undefined) return;

  app.addHook('onRequest', async (request) => {
    const { access, routeOptions } = request;
    const { scope } = routeOptions.config;
    if (access === null || request.is404) return;
    if (access.keyId !== null) await countForKey?.(request);
    if (scope !== 'own' && scope !== 'admin') await countForTenant?.(request);
  });
}
