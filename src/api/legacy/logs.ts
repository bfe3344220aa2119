import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { listAttempts } from '../../history/attempts.ts';
import {
  CURSOR_BIGINT,
  CURSOR_MICROSECONDS,
  DEFAULT_LIMIT,
  nextPage,
  PageQuery,
  readCursor,
} from '../paging.ts';
import {
  ATTEMPT_STATUSES,
  described,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import { Attempt as AttemptV1 } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

const { event_type: _, links: __, ...fields } = AttemptV1.properties;
const Attempt = Type.Object(fields);

/** The first system's route for attempts. */
export const logRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool } },
) => {
  app.get(
    '/logs/deliverylogs',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listAttemptsLegacy',
        summary: 'List attempts, newest first',
        tags: ['history'],
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            webhook_id: Type.Optional(WebhookId),
            status: Type.Optional(oneOf(ATTEMPT_STATUSES, 'How the attempt ended.')),
            since: Type.Optional({
              ...Timestamp,
              description: 'Only attempts that ended at or after this time.',
            }),
            until: Type.Optional({
              ...Timestamp,
              description: 'Only attempts that ended before this time.',
            }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'A page of attempts. The Link header leads to the next page.',
            Type.Array(Attempt),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const { cursor, limit = DEFAULT_LIMIT, ...query } = request.query;
      const after =
        cursor === undefined ? undefined : readCursor(cursor, [CURSOR_MICROSECONDS, CURSOR_BIGINT]);
      const { rows, next } = await listAttempts(
        listPool,
        {
          tenant: request.tenant,
          subscriptionId: query.subscription_id,
          webhookId: query.webhook_id,
          status: query.status,
          since: query.since === undefined ? undefined : new Date(query.since),
          until: query.until === undefined ? undefined : new Date(query.until),
        },
        limit,
        after,
      );
      nextPage(request, reply, next);
      return reply.send(rows.map(({ event_type, ...attempt }) => attempt) as never);
    },
  );
};
