// A program written against the client that openapi-generator makes from the document.
import type { Done, Surroundings } from '../surroundings.ts';
import {
  Configuration,
  IngestApi,
  ProblemFromJSON,
  type ResponseError,
  SubscriptionsApi,
} from './client/index.ts';

export async function day({ apiUrl, key, receiverUrl }: Surroundings): Promise<Done> {
  const configuration = new Configuration({ basePath: apiUrl, accessToken: key });
  const subscriptions = new SubscriptionsApi(configuration);
  const intake = new IngestApi(configuration);
  const refused = await subscriptions
    .createSubscription({ createSubscriptionRequest: { url: 'ftp://example.com' } })
    .then(
      () => undefined,
      async (error: ResponseError) => ProblemFromJSON(await error.response.json()),
    );
  const { id } = await subscriptions.createSubscription({
    createSubscriptionRequest: { url: receiverUrl, eventTypes: ['order.*'] },
  });
  const page = await subscriptions.listSubscriptions({ limit: 10 });
  const sent = await intake.sendWebhook({
    sendWebhookRequest: { eventType: 'order.created', data: { id: 7 } },
  });
  const ingested = await intake.ingest({ subscriptionId: id, body: { id: 8 } });
  return {
    refused: refused?.errors?.[0]?.field,
    listed: page.data.map(({ url }) => url ?? 'none, since it is pulled'),
    sent: sent.webhookId,
    ingested: ingested.webhookId,
  };
}
