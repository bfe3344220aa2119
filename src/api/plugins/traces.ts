import type { FastifyInstance } from 'fastify';
import { type TraceContext, traceContextOf } from '../../tracing/trace-context.ts';
import type { RequestSpan, Tracing } from '../../tracing/tracing.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True: the route hands webhooks in, so it is part of their trace. */
    handsIn?: boolean;
  }
  interface FastifyRequest {
    /** The trace that webhooks of this request are stored with; null: none. */
    trace: TraceContext | null;
    span: RequestSpan | null;
    /** The webhook that was accepted, if it is a single one, for the log. */
    webhookId: string | null;
  }
}

/**
 * Finds the trace of requests that hand webhooks in. A traceparent that is malformed is ignored, as W3C Trace Context
 * (4.3) asks for.
 *
 * @param tracing undefined: webhooks get the trace of their sender, if the request has one.
 */
export function registerTraces(app: FastifyInstance, tracing: Tracing | undefined): void {
  app.decorateRequest('trace', null);
  app.decorateRequest('span', null);
  app.decorateRequest('webhookId', null);
  app.addHook('onRequest', (request, _reply, done) => {
    const { config, url: route } = request.routeOptions;
    if (config.handsIn !== true) return done();
    const parent = traceContextOf(request.headers);
    if (tracing !== undefined)
      request.span = tracing.beginRequest(request.method, route ?? '', parent);
    request.trace = request.span?.context ?? parent;
    done();
  });
  if (tracing === undefined) return;
  app.addHook('onResponse', (request, reply, done) => {
    request.span?.end(reply.statusCode);
    done();
  });
}
