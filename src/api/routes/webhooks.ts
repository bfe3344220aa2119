import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { cancelWebhook } from '../../deliveries/cancel-webhook.sql.ts';
import { maxLoadedBytes, readBody } from '../../deliveries/payloads.sql.ts';
import {
  findDeliveries,
  findWebhook,
  MAX_ATTEMPTS_SHOWN,
  MAX_DELIVERIES_SHOWN,
} from '../../history/webhook.sql.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { linkDelivery, linksOf, linkWebhook } from '../links.ts';
import { invalidField, notFound, Problem, unavailable } from '../problems.ts';
import {
  ATTEMPT_STATUSES,
  described,
  mapOf,
  named,
  nullable,
  oneOf,
  problems,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import { ATTEMPT_DETAILS, Delivery, WebhookRow } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

const Params = Type.Object({
  webhook_id: { ...WebhookId, examples: ['01890a5d-ac96-774b-bcce-b302099a8057'] },
});

const Attempt = Type.Object({
  attempt_number: nullable(Type.Integer()),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(Type.String()),
  error: nullable(Type.String()),
  duration_ms: Type.Integer(),
  ...ATTEMPT_DETAILS,
  timestamp: Timestamp,
});

const Webhook = Type.Object({
  ...WebhookRow.properties,
  headers: nullable(
    mapOf(Type.String(), {
      description:
        'The headers of this webhook that are sent to the receivers: the `headers` that its sender gave, or those of the request to /ingest (see `forward_headers` of a subscription). Null: there are none, or they are deleted together with the body.',
      examples: [{ 'x-github-event': 'push' }],
    }),
  ),
  unfilterable: Type.Boolean({
    description:
      'True: the webhook did not go to the subscriptions with a `filter` that would have been tested, because jsonb of Postgres cannot hold its data (U+0000, half of a surrogate pair, a number with very many digits, thousands of levels). See docs/filters.md.',
  }),
  body: Type.Optional(
    nullable(
      Type.String({
        description:
          'The body that is delivered, as text; only with `include=body`. Null: it is deleted because its retention is over.',
      }),
    ),
  ),
  deliveries: Type.Array(Type.Object({ ...Delivery.properties, attempts: Type.Array(Attempt) }), {
    description: `Ordered by state: failed, waiting after a failed attempt, waiting, cancelled, succeeded; and by subscription within each. If a webhook has more than a thousand deliveries, only the failed and cancelled ones among the later ones are found. Each delivery has its newest ${MAX_ATTEMPTS_SHOWN} attempts; its link \`attempts\` lists all.`,
  }),
  more_deliveries: Type.Boolean({
    description:
      'True: the webhook has more deliveries than these; the link `deliveries` lists all.',
  }),
});

/** Webhooks that were accepted, with their deliveries and attempts. */
export const webhookRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, listPool, settings } },
) => {
  const maxShownBytes = maxLoadedBytes(settings.maxBodyBytes);
  app.get(
    '/v1/webhooks/:webhook_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getWebhook',
        summary: 'Get a webhook, its deliveries and their attempts',
        tags: ['history'],
        params: Params,
        querystring: Type.Object(
          {
            include: Type.Optional(
              oneOf(['body'], 'body: include the body of the webhook in the answer.'),
            ),
            max_deliveries: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: MAX_DELIVERIES_SHOWN,
                default: MAX_DELIVERIES_SHOWN,
                description: 'The most deliveries in the answer.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'The webhook, the state of each delivery, and the attempts made.',
            Webhook,
          ),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { webhook_id } = request.params;
      const { include, max_deliveries = MAX_DELIVERIES_SHOWN } = request.query;
      const webhook = await findWebhook(pool, request.tenant, webhook_id);
      if (webhook === undefined) throw notFound('webhook', webhook_id);
      const { deliveries, more } = await findDeliveries(pool, webhook_id, max_deliveries);
      const to = linksOf(request);
      const { event_type, body_expired } = webhook;
      return reply.send({
        ...linkWebhook(webhook, to),
        ...(include === 'body' ? { body: await bodyOf(webhook_id, webhook.bytes) } : {}),
        deliveries: deliveries.map(({ attempts, ...delivery }) => ({
          ...linkDelivery({ webhook_id, event_type, body_expired, ...delivery }, to),
          attempts,
        })),
        more_deliveries: more,
      });
    },
  );

  app.post(
    '/v1/webhooks/:webhook_id/cancel',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'cancelWebhook',
        summary: 'Cancel the pending and held deliveries of a webhook',
        description:
          'Cancels all deliveries of the webhook that are pending or held: a scheduled webhook (`deliver_at`) is then not sent. A request that is already in flight is not aborted; its result is recorded. The request may be repeated. Up to 5,000 deliveries are cancelled all at once, more in parts; if that takes long, the answer is 503, and a repeated request goes on.',
        tags: ['history'],
        params: Params,
        response: {
          200: described(
            'No delivery of the webhook is pending or held.',
            named('CancelledWebhook', {
              webhook_id: WebhookId,
              cancelled: Type.Integer({
                description:
                  'How many of its deliveries are cancelled, by this request or an earlier one.',
              }),
            }),
          ),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request) => {
      const { webhook_id } = request.params;
      const result = await cancelWebhook(pool, request.tenant, webhook_id);
      if (result === undefined) throw notFound('webhook', webhook_id);
      const { cancelled, ended, unfinished } = result;
      if (unfinished)
        throw unavailable(
          `${cancelled} deliveries of this webhook are cancelled so far. Send the request again to cancel the rest.`,
        );
      if (ended)
        throw new Problem(
          'conflict',
          'All deliveries of this webhook have ended, so none can be cancelled.',
        );
      return { webhook_id, cancelled };
    },
  );

  async function bodyOf(webhookId: string, bytes: number | null): Promise<string | null> {
    if (bytes !== null && bytes > maxShownBytes) {
      const limit = formatBytes(maxShownBytes);
      throw invalidField(
        'query.include',
        `cannot be body for this webhook: its body has ${bytes} bytes, and the API shows at most ${limit}; read it with SQL`,
      );
    }
    const body = await readBody(listPool, webhookId);
    return body?.toString('utf8') ?? null;
  }
};
