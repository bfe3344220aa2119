import type { FastifyInstance } from 'fastify';
import { createDatabase } from '../db/types.ts';
import { logRoutes } from './legacy/logs.ts';
import { subscriptionRoutes } from './legacy/subscriptions.ts';
import { registerDocs } from './plugins/docs.ts';
import type { Identification } from './plugins/identify.ts';
import { registerPages } from './plugins/pages.ts';
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
import type { AppServices } from './services.ts';

/** Registers all routes but those of routes/service.ts, the pages of the dashboard, and the documentation of the API. */
export async function registerRoutes(
  app: FastifyInstance,
  shared: AppServices,
  identification: Identification,
): Promise<void> {
  const services = { ...shared, db: createDatabase(shared.pool) };
  await registerDocs(app, services.settings);
  await registerPages(app, {
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
