import { Readable } from 'node:stream';
import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { mayTake } from '../../lib/fair-share.ts';
import { createTurns } from '../../lib/turns.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Ends the request's turn; null: it has none. */
    endTurn: (() => void) | null;
  }
  interface FastifyContextConfig {
    /** True: the route answers without end. It takes no turn, so it bounds its work itself, and its answers are not timed. */
    endless?: boolean;
  }
  interface FastifyInstance {
    /** Ends the turn of a request before the request ends. */
    endTurn: (request: FastifyRequest) => void;
    /** Begins another turn of a request that has ended its turn. It waits however many others wait. */
    takeTurn: (request: FastifyRequest) => Promise<void>;
    /** Waits for something other than the database: a request's turn ends before it, and another begins after it. */
    outsideTurn: <T>(request: FastifyRequest, wait: () => Promise<T>) => Promise<T>;
    /** Reads the next part of an answer that is being sent, in a turn of its own. */
    inTurn: <T>(request: FastifyRequest, read: () => Promise<T>) => Promise<T>;
  }
}

/** Requests that read or change at once: as many as the smallest pool that they use has connections. */
export const CONCURRENT_REQUESTS = 4;
/** The most requests of a tenant that wait for a turn. */
const MAX_WAITING = 500;
/** The most characters of answers that clients have not read yet. A page of a thousand rows can have tens of MB. */
const MAX_UNREAD = 64 * 1024 * 1024;
/** An answer that is sent in parts counts as this many characters: it has at most two parts in memory. */
const STREAMED = 1024 * 1024;
/** Smaller answers are not counted: a connection takes as much memory. */
const MIN_COUNTED = 16 * 1024;
/** The time that a client has to read an answer, or a part of an answer that is sent in parts. */
const MAX_CLIENT_READ_MS = 2 * 60_000;

/**
 * Gives tenants turns for requests that read or change something. There are few database connections, and a page,
 * the test of a filter or the figures of a month can occupy a connection for seconds. With turns, a tenant always
 * leaves a connection for the others.
 */
export function registerTurns(app: FastifyInstance): void {
  const turns = createTurns({ max: CONCURRENT_REQUESTS });
  let unread = 0;
  const unreadByTenant = new Map<string, number>();
  app.decorateRequest('endTurn', null);
  app.decorate('takeTurn', takeTurn);
  app.decorate('endTurn', endTurn);
  app.decorate('outsideTurn', async (request, wait) => {
    endTurn(request);
    const result = await wait();
    await takeTurn(request);
    return result;
  });

  app.decorate('inTurn', async (request, read) => {
    // Never refused, because the client has the beginning of the answer already.
    const end = await turns.takeNext(request.tenant);
    try {
      return await read();
    } finally {
      end();
    }
  });

  app.addHook('onRoute', (route) => {
    if (!takesTurns(route.config)) return;
    route.preHandler = [takeFirstTurn, ...[route.preHandler ?? []].flat()];
  });

  async function takeFirstTurn(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (turns.waiting(request.tenant) >= MAX_WAITING)
      throw new Problem(
        'too-many-requests',
        `${MAX_WAITING} reading requests of this tenant are waiting already. Send fewer requests at the same time.`,
        { headers: { 'retry-after': '1' } },
      );
    await takeTurn(request);
    // Nobody reads the answer. Without a turn, hundreds of such requests would take all connections at once.
    return request.raw.socket.destroyed ? reply.hijack() : undefined;
  }

  async function takeTurn(request: FastifyRequest): Promise<void> {
    request.endTurn = await turns.take(request.tenant);
    // A tenant with nothing unread is always let in: the others may be over the limit by some pages.
    const own = unreadByTenant.get(request.tenant) ?? 0;
    if (own > 0 && !mayTake(1, own, unread, MAX_UNREAD)) {
      endTurn(request);
      throw new Problem(
        'too-many-requests',
        'Too much of earlier answers has not been read yet. Read them, or ask for less at the same time.',
        { headers: { 'retry-after': '1' } },
      );
    }
    // The client may be gone by now, and then no response ends the turn.
    if (request.raw.socket.destroyed) endTurn(request);
  }

  function endTurn(request: FastifyRequest): void {
    request.endTurn?.();
    request.endTurn = null;
  }

  function countUnread(tenant: string, more: number): void {
    unread += more;
    const own = (unreadByTenant.get(tenant) ?? 0) + more;
    if (own === 0) unreadByTenant.delete(tenant);
    else unreadByTenant.set(tenant, own);
  }

  // The turn ends here, because the answer needs no connection any more: a client that does not read it delays
  // nobody. Its memory is counted until the client has read it, and is freed after MAX_CLIENT_READ_MS.
  app.addHook('onSend', (request, reply, payload, done) => {
    endTurn(request);
    const length =
      typeof payload === 'string'
        ? payload.length
        : payload instanceof Readable && takesTurns(request.routeOptions.config)
          ? STREAMED
          : 0;
    const { socket } = request.raw;
    if (length >= MIN_COUNTED && !socket.destroyed) {
      const { tenant } = request;
      countUnread(tenant, length);
      const timer = setTimeout(() => socket.destroy(), MAX_CLIENT_READ_MS).unref();
      reply.raw.on('drain', () => timer.refresh());
      // 'close' also comes if the client disconnects early.
      reply.raw.once('close', () => {
        clearTimeout(timer);
        countUnread(tenant, -length);
      });
    }
    done();
  });
  app.addHook('onResponse', (request, _reply, done) => {
    endTurn(request);
    done();
  });
}

function takesTurns(config: FastifyContextConfig | undefined): boolean {
  const scope = config?.scope;
  return !config?.endless && (scope === 'read' || scope === 'pull' || scope === 'manage');
}
