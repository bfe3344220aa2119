import cookie from '@fastify/cookie';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { takeJson } from './accepting.ts';
import { createApiServer } from './http-server.ts';
import { logRoutes } from './legacy/logs.ts';
import { subscriptionRoutes } from './legacy/subscriptions.ts';
import { declareAccess } from './plugins/access.ts';
import { registerAuth } from './plugins/auth.ts';
import { registerDocs } from './plugins/docs.ts';
import { answerFrameworkError, registerErrors } from './plugins/errors.ts';
import { refuseForeignPages } from './plugins/foreign-pages.ts';
import { createIdentification } from './plugins/identify.ts';
import { limitHeaders, registerLimits } from './plugins/limits.ts';
import { watchMethods } from './plugins/methods.ts';
import { registerPages } from './plugins/pages.ts';
import { registerReports } from './plugins/reports.ts';
import { registerRequestLog } from './plugins/request-log.ts';
import { registerRequestMetrics } from './plugins/request-metrics.ts';
import { registerTraces } from './plugins/traces.ts';
import { registerTurns } from './plugins/turns.ts';
import { acknowledgeRoutes } from './routes/acknowledge.ts';
import { attemptRoutes } from './routes/attempts.ts';
import { backfillRoutes } from './routes/backfills.ts';
import { catalogueRoutes } from './routes/catalogue.ts';
import { deliveryRoutes } from './routes/deliveries.ts';
import { enableRoutes } from './routes/enable.ts';
import { eventTypeImportRoutes } from './routes/event-type-import.ts';
import { eventTypeRoutes } from './routes/event-types.ts';
import { filterRoutes } from './routes/filters.ts';
import { healthRoutes } from './routes/health.ts';
import { ingestRoutes } from './routes/ingest.ts';
import { keyRoutes } from './routes/keys.ts';
import { portalRoutes } from './routes/portal.ts';
import { publicCatalogueRoutes } from './routes/public-catalogue.ts';
import { pullRoutes } from './routes/pull.ts';
import { receiverProblemRoutes } from './routes/receiver-problems.ts';
import { replayLatestRoutes } from './routes/replay-latest.ts';
import { sendRoutes } from './routes/send.ts';
import { sentRequestRoutes } from './routes/sent-request.ts';
import { serviceRoutes } from './routes/service.ts';
import { sessionRoutes } from './routes/session.ts';
import { settingRoutes } from './routes/settings.ts';
import { signingRoutes } from './routes/signing.ts';
import { statsRoutes } from './routes/stats.ts';
import { streamRoutes } from './routes/stream.ts';
import { subscriptionActionRoutes } from './routes/subscription-actions.ts';
import { taskRoutes } from './routes/tasks.ts';
import { tenantRoutes } from './routes/tenants.ts';
import { testSendRoutes } from './routes/test-send.ts';
import { v1SubscriptionRoutes } from './routes/v1-subscriptions.ts';
import { watchRoutes } from './routes/watches.ts';
import { webhookSearchRoutes } from './routes/webhook-search.ts';
import { webhookRoutes } from './routes/webhooks.ts';
import { whyRoutes } from './routes/why.ts';
import type { ApiServices } from './services.ts';
import { validatorCompiler } from './validation.ts';

/** Assembles the API. It does not listen yet. */
export async function createApp(services: ApiServices): Promise<FastifyInstance> {
  const app = Fastify({
    loggerInstance: services.log,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: services.settings.maxBodyBytes,
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

  registerErrors(app as unknown as FastifyInstance);
  registerTraces(app as unknown as FastifyInstance, services.tracing);
  registerRequestLog(app as unknown as FastifyInstance, services.log);
  registerRequestMetrics(app as unknown as FastifyInstance, services.metrics);
  limitHeaders(app as unknown as FastifyInstance);
  refuseForeignPages(app as unknown as FastifyInstance, services.settings);
  declareAccess(app as unknown as FastifyInstance);
  // It reads no cookie by itself: most requests have a key and no use for cookies.
  await app.register(cookie, { hook: false });
  const identification = createIdentification(app as unknown as FastifyInstance, services);
  registerAuth(app as unknown as FastifyInstance, identification, services.tenants);
  await registerLimits(app as unknown as FastifyInstance, services.settings);
  registerTurns(app as unknown as FastifyInstance);
  registerReports(app as unknown as FastifyInstance, services);
  const methods = watchMethods(app as unknown as FastifyInstance);
  await registerDocs(app as unknown as FastifyInstance, services.settings);

  if (services.serves === 'everything') {
    await registerPages(app as unknown as FastifyInstance, {
      portalLinks: services.portalLinks,
      catalogue: services.settings.publicCatalogue !== undefined,
    });
    await app.register(sessionRoutes, { services, identification });
    await app.register(tenantRoutes, { services });
    await app.register(portalRoutes, { services });
    await app.register(keyRoutes, { services });
    await app.register(subscriptionRoutes, { services });
    await app.register(v1SubscriptionRoutes, { services });
    await app.register(filterRoutes, { services });
    await app.register(eventTypeRoutes, { services });
    await app.register(eventTypeImportRoutes, { services });
    await app.register(catalogueRoutes, { services });
    await app.register(publicCatalogueRoutes, { services });
    await app.register(subscriptionActionRoutes, { services });
    await app.register(enableRoutes, { services });
    await app.register(healthRoutes, { services });
    await app.register(pullRoutes, { services });
    await app.register(acknowledgeRoutes, { services });
    await app.register(ingestRoutes, { services });
    await app.register(logRoutes, { services });
    await app.register(sendRoutes, { services });
    await app.register(webhookSearchRoutes, { services });
    await app.register(webhookRoutes, { services });
    await app.register(deliveryRoutes, { services });
    await app.register(whyRoutes, { services });
    await app.register(sentRequestRoutes, { services });
    await app.register(attemptRoutes, { services });
    await app.register(streamRoutes, { services });
    await app.register(receiverProblemRoutes, { services });
    await app.register(taskRoutes, { services });
    await app.register(replayLatestRoutes, { services });
    await app.register(watchRoutes, { services });
    await app.register(settingRoutes, { services });
    await app.register(backfillRoutes, { services });
    await app.register(testSendRoutes, { services });
    await app.register(statsRoutes, { services });
    await app.register(signingRoutes, { services });
  }
  await app.register(serviceRoutes, { services });
  methods.close();
  await app.ready();
  return app as unknown as FastifyInstance;
}
