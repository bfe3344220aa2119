import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sql } from 'kysely';
import { Type } from 'typebox';
import {
  CURSOR_BIGINT,
  CURSOR_MICROSECONDS,
  DEFAULT_LIMIT,
  linkNext,
  PageQuery,
  readCursor,
  writeCursor,
} from '../paging.ts';
import {
  ATTEMPT_STATUSES,
  described,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const Attempt = Type.Object({
  id: Type.Integer(),
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  attempt_number: nullable(
    Type.Integer({ description: 'Null for an extra attempt by a worker that had lost its claim.' }),
  ),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(
    Type.String({ description: 'A word for programs, such as timeout_connect.' }),
  ),
  error: nullable(Type.String({ description: 'A sentence for people.' })),
  duration_ms: Type.Integer(),
  timestamp: Type.String({ format: 'date-time', description: 'When the attempt ended.' }),
});

/** Every attempt, newest first. */
export const logRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db } },
) => {
  app.get(
    '/logs/deliverylogs',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listAttempts',
        summary: 'List attempts, newest first',
        tags: ['history'],
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            webhook_id: Type.Optional(WebhookId),
            status: Type.Optional(oneOf(ATTEMPT_STATUSES)),
            since: Type.Optional({ ...Timestamp, description: 'Ended at or after this.' }),
            until: Type.Optional({ ...Timestamp, description: 'Ended before this.' }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'A page. The next one is in the Link header, as rel="next".',
            Type.Array(Attempt),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const {
        subscription_id,
        webhook_id,
        status,
        since,
        until,
        cursor,
        limit = DEFAULT_LIMIT,
      } = request.query;
      let query = db
        .selectFrom('posthorn.delivery_attempts as a')
        .innerJoin('posthorn.subscriptions as s', 's.id', 'a.subscription_id')
        .select([
          'a.id',
          'a.webhook_id',
          'a.subscription_id',
          'a.attempt_number',
          'a.status',
          'response_code',
          'error_code',
          'error',
          'duration_ms',
          'at as timestamp',
          // With its microseconds, which a Date would lose.
          sql<string>`(extract(epoch from at) * 1000000)::bigint`.as('position'),
        ])
        .where('s.tenant', '=', request.tenant)
        .orderBy('a.at', 'desc')
        .orderBy('a.id', 'desc')
        .limit(limit + 1);
      if (subscription_id !== undefined)
        query = query.where('a.subscription_id', '=', subscription_id);
      if (webhook_id !== undefined) query = query.where('a.webhook_id', '=', webhook_id);
      if (status !== undefined) query = query.where('a.status', '=', status);
      if (since !== undefined) query = query.where('a.at', '>=', new Date(since));
      if (until !== undefined) query = query.where('a.at', '<', new Date(until));
      if (status !== undefined && status !== 'success')
        query = query.where('a.status', '<>', 'success');
      if (cursor !== undefined) {
        const [at, id] = readCursor(cursor, [CURSOR_MICROSECONDS, CURSOR_BIGINT]);
        query = query.where(
          sql<boolean>`(a.at, a.id) < ('epoch'::timestamptz + ${at}::bigint * interval '1 microsecond', ${id}::bigint)`,
        );
      }
      const rows = await query.execute();
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      if (rows.length > limit && last !== undefined)
        linkNext(request, reply, writeCursor([last.position, last.id]));
      return reply.send(page.map(({ position, ...attempt }) => attempt) as never);
    },
  );
};
