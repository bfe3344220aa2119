import cookie from '@fastify/cookie';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { takeJson } from './accepting.ts';
import { createApiServer } from './http-server.ts';
import { declareAccess } from './plugins/access.ts';
import { registerAuth } from './plugins/auth.ts';
import { limitBodyMemory } from './plugins/body-memory.ts';
import { answerFrameworkError, registerErrors } from './plugins/errors.ts';
import { refuseForeignPages } from './plugins/foreign-pages.ts';
import { createIdentification } from './plugins/identify.ts';
import { limitHeaders, registerLimits } from './plugins/limits.ts';
import { watchMethods } from './plugins/methods.ts';
import { registerReports } from './plugins/reports.ts';
import { registerRequestLog } from './plugins/request-log.ts';
import { registerRequestMetrics } from './plugins/request-metrics.ts';
import { registerTraces } from './plugins/traces.ts';
import { registerTurns } from './plugins/turns.ts';
import { serviceRoutes } from './routes/service.ts';
import type { AppServices } from './services.ts';
import { validatorCompiler } from './validation.ts';

/** The limit of bodies that are no webhooks. Parsing a larger one would hold up the process. */
const MAX_JSON_BYTES = 1024 * 1024;

/** Assembles the API. It does not listen yet. */
export async function createApp(services: AppServices): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: services.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: Math.min(services.settings.maxBodyBytes, MAX_JSON_BYTES),
    serverFactory: createApiServer,
    // One logger for all requests: a child logger for each costs more than most requests log.
    childLoggerFactory: (logger) => logger,
    // While the server stops, a request on an open connection is still served; then the connection closes.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    frameworkErrors: answerFrameworkError,
    // createApiServer sets its own handler, also for the second server that fastify makes for localhost.
    clientErrorHandler: () => {},
    routerOptions: { ignoreTrailingSlash: true },
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  takeJson(app as unknown as FastifyInstance);
  // Queries select only the columns of the answer, so no serializer has to filter it.
  app.setSerializerCompiler(() => JSON.stringify);

  registerErrors(app as unknown as FastifyInstance, services.serves);
  registerTraces(app as unknown as FastifyInstance, services.tracing);
  registerRequestLog(app as unknown as FastifyInstance, services.log);
  registerRequestMetrics(app as unknown as FastifyInstance, services.metrics);
  limitHeaders(app as unknown as FastifyInstance);
  refuseForeignPages(app as unknown as FastifyInstance, services.settings);
  declareAccess(app as unknown as FastifyInstance);
  // It reads no cookie by itself: most requests have a key and no use for cookies.
  await app.register(cookie, { hook: false });
  const identification = createIdentification(app as unknown as FastifyInstance, services);
  if (services.placement !== undefined) {
    const { registerPlacement } = await import('./plugins/placement.ts');
    registerPlacement(app as unknown as FastifyInstance, identification, services);
  }
  registerAuth(app as unknown as FastifyInstance, identification, services.tenants);
  await registerLimits(app as unknown as FastifyInstance, services.settings);
  limitBodyMemory(app as unknown as FastifyInstance);
  registerTurns(app as unknown as FastifyInstance);
  registerReports(app as unknown as FastifyInstance, services);
  const methods = watchMethods(app as unknown as FastifyInstance);

  // A process that is only a worker starts sooner, and is smaller, without them.
  if (services.serves === 'everything') {
    const { registerRoutes } = await import('./all-routes.ts');
    await registerRoutes(app as unknown as FastifyInstance, services, identification);
  }
  await app.register(serviceRoutes, { services });
  methods.close();
  await app.ready();
  return app as unknown as FastifyInstance;
}
