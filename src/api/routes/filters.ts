import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { MAX_TRIED, tryFilter } from '../../history/try-filter.ts';
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

/** Tries a filter on webhooks that were sent. */
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
          'Shows which of the latest webhooks that were sent by event type a subscription with this filter, these event types and these channels would get. Nothing is sent. If the webhooks are large, fewer of them are tried.',
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
            'The webhooks that were tried, the latest first.',
            Type.Object({
              tested: Type.Integer({ description: 'How many webhooks were tried.' }),
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
        webhooks: [...webhooks],
      });
    },
  );
};
