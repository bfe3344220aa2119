// A program written against the types that openapi-typescript makes from the document.
import createClient from 'openapi-fetch';
import type { Done, Surroundings } from '../surroundings.ts';
import type { paths } from './client.d.ts';

export async function day({ apiUrl, key, receiverUrl }: Surroundings): Promise<Done> {
  const posthorn = createClient<paths>({
    baseUrl: apiUrl,
    headers: { authorization: `Bearer ${key}` },
  });
  const refused = await posthorn.POST('/v1/subscriptions', { body: { url: 'ftp://example.com' } });
  const created = given(
    await posthorn.POST('/v1/subscriptions', {
      body: { url: receiverUrl, event_types: ['order.*'] },
    }),
  );
  const page = given(await posthorn.GET('/v1/subscriptions', { params: { query: { limit: 10 } } }));
  const sent = given(
    await posthorn.POST('/v1/webhooks', { body: { event_type: 'order.created', data: { id: 7 } } }),
  );
  const ingested = given(
    await posthorn.POST('/ingest/{subscription_id}', {
      params: { path: { subscription_id: created.id } },
      body: { id: 8 },
    }),
  );
  if (!('webhook_id' in ingested)) throw new Error(JSON.stringify(ingested));
  return {
    refused: refused.error?.errors?.[0]?.field,
    listed: page.data.map(({ url }) => url ?? 'none, since it is pulled'),
    sent: sent.webhook_id,
    ingested: ingested.webhook_id,
  };
}

function given<T>({ data, error }: { data?: T; error?: unknown }): T {
  if (data === undefined) throw new Error(JSON.stringify(error));
  return data;
}
