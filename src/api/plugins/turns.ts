import type { FastifyInstance, FastifyRequest } from 'fastify';
import { createTurns, TooManyTurnsError } from '../../lib/turns.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's turn; null while it has none. */
    endTurn: (() => void) | null;
  }
  interface FastifyInstance {
    /** Waits for something other than the database: a request's turn ends before it, and another begins after it. */
    outsideTurn: <T>(request: FastifyRequest, wait: () => Promise<T>) => Promise<T>;
  }
}

/** Requests that read or change at once: as many as the smallest pool that they use has connections. */
export const TURNS = 4;
/** Of one tenant. */
const MAX_WAITING = 500;

/**
 * Lets tenants read, and change what they have, in turns. A page, a filter that is tried or the figures of a month
 * can take seconds of a database connection, of which there are few, and hundreds of small changes wait for
 * each other: whatever one tenant asks for, others find one free.
 */
export function registerTurns(app: FastifyInstance): void {
  const turns = createTurns({ max: TURNS, maxWaiting: MAX_WAITING });
  app.decorateRequest('endTurn', null);
  app.decorate('outsideTurn', async (request, wait) => {
    endTurn(request);
    const result = await wait();
    await takeTurn(request);
    return result;
  });

  app.addHook('onRoute', (route) => {
    const scope = route.config?.scope;
    if (scope !== 'read' && scope !== 'manage') return;
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
    if (request.raw.socket.destroyed) endTurn(request);
  }

  function endTurn(request: FastifyRequest): void {
    request.endTurn?.();
    request.endTurn = null;
  }

  // The answer is in memory by then: a client that does not read it keeps no turn from others.
  app.addHook('onSend', (request, _reply, _payload, done) => {
    endTurn(request);
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    endTurn(request);
    done();
  });
}
