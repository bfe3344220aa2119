// A program written against the TypeScript client, which test/clients/clients.test.ts compiles and runs.
import { createPosthorn, dataOf, PosthornError, verifyWebhook } from '@posthorn/client';

const { API_URL: url = '', API_KEY: key = '', RECEIVER_URL = '' } = process.env;
const posthorn = createPosthorn({ url, key, waitMs: 10 });
const { api } = posthorn;

async function refusal() {
  try {
    await dataOf(api.POST('/v1/subscriptions', { body: { url: 'ftp://example.com' } }));
    throw new Error('That should not have worked.');
  } catch (error) {
    if (!(error instanceof PosthornError)) throw error;
    return { status: error.status, field: error.problem?.errors?.[0]?.field };
  }
}

const refused = await refusal();
const { secret } = await dataOf(
  api.POST('/v1/subscriptions', {
    body: { url: RECEIVER_URL, event_types: ['order.*'], generate_secret: true },
  }),
);
const sent: string[] = [];
for (const id of [1, 2, 3, 4, 5]) {
  const { webhook_id } = await posthorn.send({ event_type: 'order.created', data: { id } });
  sent.push(webhook_id);
}
const listed: string[] = [];
for await (const { webhook_id } of posthorn.list('/v1/deliveries', { limit: 2 }))
  listed.push(webhook_id);

const { headers, body } = (await (await fetch(RECEIVER_URL)).json()) as {
  headers: Record<string, string>;
  body: string;
};
const verified = verifyWebhook(secret ?? '', body, headers) as { type: string };
let forged = 'taken';
try {
  verifyWebhook(secret ?? '', body.replace('order', 'older'), headers);
} catch {
  forged = 'refused';
}
console.log(JSON.stringify({ refused, sent, listed, verified: verified.type, forged }));
