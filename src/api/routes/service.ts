import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { VERSION } from '../../version.ts';
import { Problem } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const Ok = Type.Object({ status: Type.Literal('ok') });

/** Whether all is well: for people, for load balancers, for Prometheus. */
export const serviceRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { pool, metrics, notReady } = services;

  app.get(
    '/ping',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'ping',
        summary: 'Version and tables',
        tags: ['service'],
        response: {
          200: described(
            'It answers.',
            Type.Object({
              message: Type.String(),
              version: Type.String(),
              database: Type.Object({ tables: Type.Array(Type.String()) }),
            }),
          ),
          ...problems(),
        },
      },
    },
    async () => {
      const { rows } = await pool.query<{ name: string }>(
        `select c.relname as name
         from pg_catalog.pg_class c
         where c.relnamespace = 'posthorn'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
         order by c.oid`,
      );
      return {
        message: 'API is up and running',
        version: VERSION,
        database: { tables: rows.map(({ name }) => name) },
      };
    },
  );

  app.get(
    '/healthz',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'healthz',
        summary: 'The process is up',
        tags: ['service'],
        response: { 200: described('It is.', Ok), ...problems() },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'readyz',
        summary:
          'The process can do its work: the database answers, jobs are taken, and no background work fails',
        tags: ['service'],
        response: { 200: described('It can.', Ok), ...problems() },
      },
    },
    async () => {
      const reason = await notReady();
      if (reason !== null) throw new Problem('unavailable', reason);
      return { status: 'ok' as const };
    },
  );

  app.get(
    '/metrics',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'metrics',
        summary: 'Metrics for Prometheus',
        tags: ['service'],
        response: {
          200: {
            description: 'Figures in Prometheus text format.',
            content: { 'text/plain': { schema: Type.String() } },
          },
          ...problems(),
        },
      },
    },
    async (_request, reply) =>
      reply
        .type(metrics.contentType)
        .serializer(String)
        .send(await metrics.text()),
  );
};
