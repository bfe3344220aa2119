import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { VERSION } from '../../version.ts';
import { Problem } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import type { AppServices } from '../services.ts';

const Ok = Type.Object({ status: Type.Literal('ok') });

/** The routes by which people, load balancers and Prometheus watch the service. */
export const serviceRoutes: FastifyPluginAsyncTypebox<{ services: AppServices }> = async (
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
        summary: 'Get the version, and the tables of the database',
        tags: ['service'],
        response: {
          200: described(
            'The API and the database answer.',
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
        summary: 'Check that the process is running',
        tags: ['service'],
        response: { 200: described('The process is running.', Ok), ...problems() },
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
          'Check that the process is ready: the database answers, jobs are taken, and no background work fails',
        tags: ['service'],
        response: { 200: described('The process is ready.', Ok), ...problems() },
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
        summary: 'Get metrics for Prometheus',
        tags: ['service'],
        response: {
          200: {
            description: 'Metrics in the text format of Prometheus.',
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
