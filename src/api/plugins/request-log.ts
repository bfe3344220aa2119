import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { traceIdOf } from '../../tracing/trace-context.ts';

/** Logs a line for each request, at debug. It leaves out the body, headers and query, which may contain secrets. */
export function registerRequestLog(app: FastifyInstance, log: Logger): void {
  if (!log.isLevelEnabled('debug')) return;
  app.addHook('onResponse', async (request, reply) => {
    request.log.debug(
      {
        trace_id: traceIdOf(request.trace),
        webhookId: request.webhookId ?? undefined,
        subscriptionId: subscriptionIdOf(request.params),
        method: request.method,
        route: request.routeOptions.url ?? request.url.split('?')[0],
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime * 10) / 10,
      },
      'request',
    );
  });
}

function subscriptionIdOf(params: unknown): number | undefined {
  const id = (params as { subscription_id?: unknown } | undefined)?.subscription_id;
  return typeof id === 'number' ? id : undefined;
}
