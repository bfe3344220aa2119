import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createTurns, TooManyTurnsError } from '../../lib/turns.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's turn; null while it has none. */
    endTurn: (() => void) | null;
  }
}

/** Requests that read at once: as many as the smallest pool that is read with has connections. */
export const READING = 4;
/** Of one tenant. */
const MAX_WAITING = 100;

/**
 * Lets tenants read in turns. A page, a filter that is tried or the figures of a month can take seconds
 * of a database connection, of which there are few: whatever one tenant asks for, others find one free.
 */
export function registerTurns(app: FastifyInstance): void {
  const turns = createTurns({ max: READING, maxWaiting: MAX_WAITING });
  app.decorateRequest('endTurn', null);

  app.addHook('onRoute', (route) => {
    if (route.config?.scope !== 'read') return;
    route.preHandler = [takeTurn, ...[route.preHandler ?? []].flat()];
  });

  async function takeTurn(request: FastifyRequest): Promise<void> {
    try {
      request.endTurn = await turns.take(request.tenant);
    } catch (error) {
      if (!(error instanceof TooManyTurnsError)) throw error;
      throw new Problem(
        'too-many-requests',
        `${MAX_WAITING} requests of this tenant are waiting already. Ask for less at the same time.`,
        { headers: { 'retry-after': '1' } },
      );
    }
    // It may be gone by now, and no response will end the turn.
    if (request.raw.socket.destroyed) request.endTurn();
  }

  app.addHook('onResponse', (request, _reply, done) => {
    request.endTurn?.();
    done();
  });
}
