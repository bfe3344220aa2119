import type { Reply, TestService } from './service.ts';
import { until } from './until.ts';

/** Creates a subscription of any fields and returns its id. */
export async function subscribeAs({ request }: TestService, fields: object): Promise<number> {
  const { status, json, text } = await request('POST', '/v1/subscriptions', fields);
  if (status !== 201) throw new Error(`${status} ${text}`);
  return json.id;
}

/** Returns the health of a subscription from the API. */
export async function healthOf({ request }: TestService, id: number): Promise<Reply['json']> {
  const { status, json, text } = await request('GET', `/v1/subscriptions/${id}/health`);
  if (status !== 200) throw new Error(`${status} ${text}`);
  return json;
}

/** Sends a webhook after the other to a subscription until its circuit is open. */
export async function ingestUntilOpen(posthorn: TestService, id: number): Promise<string[]> {
  const webhooks: string[] = [];
  await until('its circuit is open', async () => {
    const { circuit, recent } = await healthOf(posthorn, id);
    if (circuit.state !== 'closed') return true;
    // One after the other, or a slow machine would hold dozens by then.
    if (recent.attempts >= webhooks.length)
      webhooks.push(await posthorn.ingest(id, { n: webhooks.length }));
    return false;
  });
  return webhooks;
}

/** The deliveries of a subscription in a state, newest first, up to 1,000. */
export async function deliveriesOf(
  { request }: TestService,
  id: number,
  state?: string,
): Promise<Reply['json'][]> {
  const found: Reply['json'][] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = `subscription_id=${id}&limit=100${state === undefined ? '' : `&state=${state}`}`;
    const page: Reply = await request(
      'GET',
      `/v1/deliveries?${query}${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    if (page.status !== 200) throw new Error(page.text);
    found.push(...page.json.data);
    cursor = found.length >= 1_000 ? null : page.json.next_cursor;
  }
  return found;
}
