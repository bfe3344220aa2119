import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { MAX_LATEST, MAX_LOOKED_AT, replayLatest } from '../../bulk-operations/replay-latest.ts';
import { withThousands } from '../../lib/thousands.ts';
import {
  described,
  EventTypePattern,
  problems,
  SubscriptionId,
  WebhookId,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';
import { tenantSubscription } from '../tenant-subscription.ts';

/** Sends the latest webhooks of a tenant to a subscription again, such as one that was just created. */
export const replayLatestRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, listPool } },
) => {
  app.post(
    '/v1/subscriptions/:subscription_id/replay-latest',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'replayLatest',
        summary: 'Send the latest webhooks to a subscription again',
        description: `Sends the latest webhooks of the tenant to this subscription, at once: those that it had before, in any state, and those that it would get if they were sent by event type now. So a subscription that was just created gets what was sent before. The latest ${withThousands(MAX_LOOKED_AT)} webhooks are looked at, or as many as three seconds are enough for. Webhooks whose body is deleted, and scheduled ones that are not due yet, are passed over.`,
        tags: ['tasks'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        body: Type.Object(
          {
            last: Type.Integer({
              minimum: 1,
              maximum: MAX_LATEST,
              description: 'The most webhooks to send again.',
            }),
            event_types: Type.Optional(
              Type.Array(EventTypePattern, {
                minItems: 1,
                maxItems: 100,
                description:
                  'Only webhooks of these event types: exact types, prefixes such as `order.*`, or `*`. Left out: all that the subscription gets.',
              }),
            ),
          },
          { additionalProperties: false, examples: [{ last: 10, event_types: ['order.*'] }] },
        ),
        response: {
          200: described(
            'What is sent.',
            Type.Object({
              due: Type.Integer({
                description:
                  'How many deliveries are due now and were not before. Deliveries that were due or held already are left as they are.',
              }),
              webhook_ids: Type.Array(WebhookId, {
                description:
                  'The webhooks, the newest first. They are sent in the order of acceptance.',
              }),
            }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request) => {
      const { tenant } = request;
      const { subscription_id: subscriptionId } = request.params;
      const { last, event_types: eventTypes = null } = request.body;
      await tenantSubscription(pool, tenant, subscriptionId);
      const latest = { tenant, subscriptionId, last, eventTypes };
      const { owed, webhookIds } = await replayLatest({ general: pool, lists: listPool }, latest);
      return { due: owed, webhook_ids: [...webhookIds] };
    },
  );
};
