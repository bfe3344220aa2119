import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { listAttempts } from '../../history/attempts.ts';
import { linksOf } from '../links.ts';
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
  EventType,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import { Attempt, linkAttempt, SCANNED_PAGES } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

/** Lists the attempts: the requests made to receivers. */
export const attemptRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool } },
) => {
  app.get(
    '/v1/attempts',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listAttempts',
        summary: 'List attempts, newest first',
        description: SCANNED_PAGES,
        tags: ['history'],
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            webhook_id: Type.Optional(WebhookId),
            status: Type.Optional(oneOf(ATTEMPT_STATUSES, 'How the attempt ended.')),
            response_code: Type.Optional(
              Type.Integer({
                minimum: 100,
                maximum: 999,
                description: 'The HTTP status code that the receiver answered with.',
                examples: [500],
              }),
            ),
            error_code: Type.Optional(
              Type.String({
                maxLength: 50,
                pattern: '^[a-z0-9_]+$',
                description: 'The code of the error that the attempt failed with.',
                examples: ['timeout_connect'],
              }),
            ),
            event_type: Type.Optional(EventType),
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
            'A page of attempts. next_cursor and the Link header lead to the next page.',
            Type.Object({ data: Type.Array(Attempt), next_cursor: nullable(Type.String()) }),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const { cursor, limit = DEFAULT_LIMIT, ...query } = request.query;
      const after =
        cursor === undefined ? undefined : readCursor(cursor, [CURSOR_MICROSECONDS, CURSOR_BIGINT]);
      const to = linksOf(request);
      const { rows, next } = await listAttempts(
        listPool,
        {
          tenant: request.tenant,
          subscriptionId: query.subscription_id,
          webhookId: query.webhook_id,
          status: query.status,
          responseCode: query.response_code,
          errorCode: query.error_code,
          eventType: query.event_type,
          since: query.since === undefined ? undefined : new Date(query.since),
          until: query.until === undefined ? undefined : new Date(query.until),
        },
        limit,
        after,
      );
      return reply.send({
        data: rows.map((row) => linkAttempt(row, to)),
        next_cursor: nextPage(request, reply, next),
      } as never);
    },
  );
};
