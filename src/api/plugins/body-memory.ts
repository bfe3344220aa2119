import type { FastifyInstance, FastifyRequest } from 'fastify';
import { mayTake } from '../../lib/fair-share.ts';
import { Problem, unavailable } from '../problems.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Counts the memory of the request's body; null: the body is small. */
    bodyMemory: BodyMemory | null;
  }
  interface FastifyContextConfig {
    /** True: the body stays bytes, and its parsed value does not outlive the reading of the request. */
    keepsBytes?: boolean;
  }
}

interface BodyMemory {
  /** Takes memory for so many more bytes of the body. Returns whether there is room for them. */
  take(bytes: number): boolean;
}

/** The memory for bodies of all requests of a process together, from their first byte to the end of the answer. */
const MAX_MEMORY = 128 * 1024 * 1024;
/** A parsed body may take so many bytes for each of its bytes: *measured*, 22 for an array of empty objects. */
const PARSED = 24;
/** Smaller bodies are not counted: a connection takes as much memory. */
const MIN_COUNTED = 16 * 1024;
/** All senders without a key share a part, because any of them may name any subscription. */
const KEYLESS = 'sender without a key';

/**
 * Limits the memory of the bodies of requests, for all and for each tenant. The number of connections has no limit, and
 * a client may send its body slowly, or wait for a turn: *measured*, 600 bodies of 1 MiB whose last byte did not come took
 * 600 MB for a minute, from a client without a key.
 */
export function limitBodyMemory(app: FastifyInstance): void {
  let used = 0;
  const byOwner = new Map<string, number>();
  app.decorateRequest('bodyMemory', null);

  function count(owner: string, more: number): void {
    used += more;
    const own = (byOwner.get(owner) ?? 0) + more;
    if (own === 0) byOwner.delete(owner);
    else byOwner.set(owner, own);
  }

  app.addHook('preParsing', (request, reply, payload, done) => {
    const { keepsBytes = false } = request.routeOptions.config;
    const weight = keepsBytes ? 1 : PARSED;
    // NaN, without a length: it may become any.
    if (Number(request.headers['content-length']) * weight < MIN_COUNTED)
      return done(null, payload);
    const owner = request.access === null ? KEYLESS : `tenant ${request.tenant}`;
    let own = 0;
    request.bodyMemory = {
      take(bytes) {
        const more = bytes * weight;
        if (!mayTake(more, byOwner.get(owner) ?? 0, used, MAX_MEMORY)) return false;
        own += more;
        count(owner, more);
        return true;
      },
    };
    // 'close' also comes if the client disconnects early.
    reply.raw.once('close', () => {
      count(owner, -own);
      own = 0;
    });
    done(null, payload);
  });
}

/** The answer to a request whose body has no room. */
export function noRoomForBody(request: FastifyRequest): Problem {
  return request.access === null
    ? unavailable(
        'Too many bodies of senders without a key are being received. Send it again shortly.',
      )
    : new Problem(
        'too-many-requests',
        'Too many large bodies are being received at the same time. Send fewer at the same time, or smaller ones.',
        { headers: { 'retry-after': '1' } },
      );
}
