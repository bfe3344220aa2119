import type { FastifyInstance, FastifyRequest } from 'fastify';
import type pg from 'pg';
import { isTimeout } from '../../db/availability.ts';
import type { Replica } from '../../db/replica.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { Problem } from '../problems.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Reads history for a report: from the replica where there is one that is fresh enough, else from the primary. The
     * answer's `Age` (RFC 9111, 5.1) says how old rows of a replica may be, in seconds. A request with `cache-control:
     * no-cache` (5.2.1.4) is answered by the primary.
     */
    readReport: <T>(
      request: FastifyRequest,
      reply: FastifyReply,
      read: (pool: pg.Pool) => Promise<T>,
    ) => Promise<T>;
  }
}

/** @param replica undefined: there is none. */
export function registerReports(
  app: FastifyInstance,
  {
    listPool,
    replica,
    metrics,
  }: {
    readonly listPool: pg.Pool;
    readonly replica: Replica | undefined;
    readonly metrics: Metrics;
  },
): void {
  if (replica === undefined) {
    app.decorate('readReport', async (_request, _reply, read) => await read(listPool));
    return;
  }
  const reads = metrics.watchReplica(() => replica.state());
  app.decorate('readReport', async (request, reply, read) => {
    if (wantsFresh(request)) return await readPrimary();
    const { ageMs, readable } = await replica.state();
    if (!readable) return await readPrimary();
    try {
      const answer = await read(replica.pool);
      reply.header('age', String(Math.ceil(ageMs / 1000)));
      reads.inc({ server: 'replica' });
      return answer;
    } catch (error) {
      // The primary would refuse such a request too, or take as long for it.
      if (error instanceof Problem || isTimeout(error)) throw error;
      replica.failed(error);
      return await readPrimary();
    }

    async function readPrimary() {
      reads.inc({ server: 'primary' });
      return await read(listPool);
    }
  });
}

function wantsFresh({ headers }: FastifyRequest): boolean {
  return /(?:^|[\s,])no-cache(?:$|[\s,])/i.test(headers['cache-control'] ?? '');
}
