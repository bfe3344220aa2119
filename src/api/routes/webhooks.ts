import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sql } from 'kysely';
import { Type } from 'typebox';
import {
  CURSOR_ID,
  CURSOR_UUID,
  DEFAULT_LIMIT,
  linkNext,
  PageQuery,
  readCursor,
  writeCursor,
} from '../paging.ts';
import { notFound } from '../problems.ts';
import {
  ATTEMPT_STATUSES,
  DELIVERY_STATES,
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
  attempt_number: nullable(Type.Integer()),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(Type.String()),
  error: nullable(Type.String()),
  duration_ms: Type.Integer(),
  response_excerpt: nullable(Type.String({ description: 'The first KiB of the answer.' })),
  timestamp: Timestamp,
});

const Delivery = Type.Object({
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  subscription_url: Type.String(),
  state: oneOf(DELIVERY_STATES),
  attempts_made: Type.Integer(),
  next_attempt_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
});

const Webhook = Type.Object({
  webhook_id: WebhookId,
  accepted_at: Timestamp,
  event_type: nullable(Type.String()),
  content_type: Type.String(),
  bytes: Type.Integer(),
  deliveries: Type.Array(Type.Object({ ...Delivery.properties, attempts: Type.Array(Attempt) })),
});

const DELIVERY_COLUMNS = [
  'd.webhook_id',
  'd.subscription_id',
  's.url as subscription_url',
  'd.state',
  'd.attempt_count as attempts_made',
  'd.next_attempt_at',
  'd.ended_at',
] as const;

const DELIVERY_FIELDS = Object.keys(Delivery.properties);
const ATTEMPT_FIELDS = Object.keys(Attempt.properties);

type Row = Record<string, unknown>;

function pick(row: Row, fields: readonly string[]): Row {
  return Object.fromEntries(fields.map((field) => [field, row[field]]));
}

/** What became of a webhook, and what is owed. */
export const webhookRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db } },
) => {
  app.get(
    '/v1/webhooks/:webhook_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getWebhook',
        summary: 'A webhook, its deliveries and their attempts',
        tags: ['history'],
        params: Type.Object({
          webhook_id: { ...WebhookId, examples: ['01890a5d-ac96-774b-bcce-b302099a8057'] },
        }),
        response: {
          200: described('What became of it, and what comes next.', Webhook),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { webhook_id } = request.params;
      // One statement, so that deliveries and attempts are of one moment.
      const rows = await db
        .selectFrom('posthorn.webhook_payloads as p')
        .leftJoin('posthorn.deliveries as d', 'd.webhook_id', 'p.id')
        .leftJoin('posthorn.subscriptions as s', 's.id', 'd.subscription_id')
        .leftJoin('posthorn.delivery_attempts as a', (join) =>
          join
            .onRef('a.webhook_id', '=', 'd.webhook_id')
            .onRef('a.subscription_id', '=', 'd.subscription_id'),
        )
        .select([
          'p.accepted_at',
          'p.event_type',
          'p.content_type',
          sql<number>`length(p.body)`.as('bytes'),
          ...DELIVERY_COLUMNS,
          'a.id as attempt_id',
          'a.attempt_number',
          'a.status',
          'a.response_code',
          'a.error_code',
          'a.error',
          'a.duration_ms',
          'a.response_excerpt',
          'a.at as timestamp',
        ])
        .where('p.id', '=', webhook_id)
        .where('p.tenant', '=', request.tenant)
        .orderBy('d.subscription_id')
        .orderBy('a.at')
        .orderBy('a.id')
        .execute();
      const [webhook] = rows;
      if (webhook === undefined) throw notFound('webhook', webhook_id);
      const { accepted_at, event_type, content_type, bytes } = webhook;
      const bySubscription = Map.groupBy(
        rows.filter((row) => row.subscription_id !== null),
        (row) => row.subscription_id,
      );
      const deliveries = [...bySubscription.values()].map((ofOne) => ({
        ...pick(ofOne[0] as Row, DELIVERY_FIELDS),
        attempts: ofOne
          .filter((row) => row.attempt_id !== null)
          .map((row) => pick(row, ATTEMPT_FIELDS)),
      }));
      return reply.send({
        webhook_id,
        accepted_at,
        event_type,
        content_type,
        bytes,
        deliveries,
      } as never);
    },
  );

  app.get(
    '/v1/deliveries',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listDeliveries',
        summary: 'List deliveries, newest webhooks first',
        tags: ['history'],
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            webhook_id: Type.Optional(WebhookId),
            state: Type.Optional(oneOf(DELIVERY_STATES)),
            since: Type.Optional({
              ...Timestamp,
              description: 'Of webhooks accepted at or after this.',
            }),
            until: Type.Optional({
              ...Timestamp,
              description: 'Of webhooks accepted before this.',
            }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'A page. The next one is in next_cursor and in the Link header.',
            Type.Object({ data: Type.Array(Delivery), next_cursor: nullable(Type.String()) }),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const {
        subscription_id,
        webhook_id,
        state,
        since,
        until,
        cursor,
        limit = DEFAULT_LIMIT,
      } = request.query;
      let query = db
        .selectFrom('posthorn.deliveries as d')
        .innerJoin('posthorn.subscriptions as s', 's.id', 'd.subscription_id')
        .select(DELIVERY_COLUMNS)
        .where('s.tenant', '=', request.tenant)
        .orderBy('d.webhook_id', 'desc')
        .orderBy('d.subscription_id', 'desc')
        .limit(limit + 1);
      if (subscription_id !== undefined)
        query = query.where('d.subscription_id', '=', subscription_id);
      if (webhook_id !== undefined) query = query.where('d.webhook_id', '=', webhook_id);
      if (state !== undefined) query = query.where('d.state', '=', state);
      if (since !== undefined) {
        query = query.where(
          'd.webhook_id',
          '>=',
          sql<string>`posthorn.uuidv7_floor(${new Date(since)}::timestamptz)`,
        );
      }
      if (until !== undefined) {
        query = query.where(
          'd.webhook_id',
          '<',
          sql<string>`posthorn.uuidv7_floor(${new Date(until)}::timestamptz)`,
        );
      }
      if (cursor !== undefined) {
        const [webhook, subscription] = readCursor(cursor, [CURSOR_UUID, CURSOR_ID]);
        query = query.where(
          sql<boolean>`(d.webhook_id, d.subscription_id) < (${webhook}::uuid, ${subscription}::integer)`,
        );
      }
      const rows = await query.execute();
      const data = rows.slice(0, limit);
      const last = data.at(-1);
      const next =
        rows.length > limit && last !== undefined
          ? writeCursor([last.webhook_id, last.subscription_id])
          : null;
      if (next !== null) linkNext(request, reply, next);
      return reply.send({ data, next_cursor: next } as never);
    },
  );
};
