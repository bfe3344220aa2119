import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../../metrics/metrics.ts';

/** The label of requests for paths that no route has: their own paths would make a series each. */
const NO_ROUTE = 'none';

/** Counts and times every request by its method, route and status. */
export function registerRequestMetrics(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onResponse', (request, reply, done) => {
    if (request.routeOptions.config.endless && reply.statusCode === 200) return done();
    metrics.observeRequest(
      request.is404 ? NO_ROUTE : request.method,
      (request.is404 ? undefined : request.routeOptions.url) ?? NO_ROUTE,
      reply.statusCode,
      reply.elapsedTime / 1000,
    );
    done();
  });
}
