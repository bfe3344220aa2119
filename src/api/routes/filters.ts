import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { MAX_TRIED, tryFilter } from '../../subscriptions/filter.ts';
import { createFilterCheck } from '../judge-subscription.ts';
import {
  Channel,
  described,
  EventType,
  nullable,
  problems,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import { Channels, EventTypes, Filter } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

/** Trying out what a subscription would get. */
export const filterRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  const requireFilter = createFilterCheck(pool);

  app.post(
    '/v1/filters/test',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'testFilter',
        summary: `Try a filter on the last ${MAX_TRIED} webhooks`,
        description:
          'Which of the last webhooks that were sent by type would go to a subscription with this filter, and these event types and channels. Nothing is sent. Of large webhooks fewer are tried.',
        tags: ['subscriptions'],
        body: Type.Object(
          {
            filter: Filter.anyOf[0],
            event_types: Type.Optional(EventTypes),
            channels: Type.Optional(Channels),
          },
          {
            additionalProperties: false,
            examples: [{ filter: '$.total > 100', event_types: ['order.*'] }],
          },
        ),
        response: {
          200: described(
            'The webhooks, the latest first.',
            Type.Object({
              tested: Type.Integer({ description: 'How many webhooks were looked at.' }),
              matched: Type.Integer(),
              webhooks: Type.Array(
                Type.Object({
                  webhook_id: WebhookId,
                  accepted_at: Timestamp,
                  event_type: EventType,
                  channels: nullable(Type.Array(Channel)),
                  matches: Type.Boolean(),
                }),
              ),
            }),
          ),
          ...problems(400, 401, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { filter, event_types = null, channels = null } = request.body;
      await requireFilter(filter);
      const webhooks = await tryFilter(pool, request.tenant, { filter, event_types, channels });
      return reply.send({
        tested: webhooks.length,
        matched: webhooks.filter(({ matches }) => matches).length,
        webhooks,
      } as never);
    },
  );
};
