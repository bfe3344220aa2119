import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sql } from 'kysely';
import { Type } from 'typebox';
import { maxLoadedBytes, readBody } from '../../deliveries/payloads.sql.ts';
import { listWebhooks } from '../../history/webhooks.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { linksOf } from '../links.ts';
import { CURSOR_UUID, DEFAULT_LIMIT, nextPage, PageQuery, readCursor } from '../paging.ts';
import { invalidField, notFound } from '../problems.ts';
import {
  ATTEMPT_STATUSES,
  described,
  EventType,
  nullable,
  oneOf,
  problems,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import {
  Delivery,
  linkDelivery,
  linkWebhook,
  type Named,
  SCANNED_PAGES,
  WebhookRow,
} from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

const Attempt = Type.Object({
  attempt_number: nullable(Type.Integer()),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(Type.String()),
  error: nullable(Type.String()),
  duration_ms: Type.Integer(),
  response_excerpt: nullable(
    Type.String({
      description:
        'The first KiB of the answer. Null: there was no body, or it is deleted together with the body of the webhook.',
    }),
  ),
  timestamp: Timestamp,
});

const Webhook = Type.Object({
  ...WebhookRow.properties,
  body: Type.Optional(
    nullable(
      Type.String({
        description:
          'The body that is delivered, as text; only with `include=body`. Null: it is deleted because its retention is over.',
      }),
    ),
  ),
  deliveries: Type.Array(Type.Object({ ...Delivery.properties, attempts: Type.Array(Attempt) })),
});

const ATTEMPT_FIELDS = Object.keys(Attempt.properties);
const DELIVERY_FIELDS = Object.keys(Delivery.properties);

type Row = Record<string, unknown>;

function pick(row: Row, fields: readonly string[]): Row {
  return Object.fromEntries(
    fields.filter((field) => field in row).map((field) => [field, row[field]]),
  );
}

/** Webhooks that were accepted, with their deliveries and attempts. */
export const webhookRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, listPool, settings } },
) => {
  const maxShownBytes = maxLoadedBytes(settings.maxBodyBytes);
  app.get(
    '/v1/webhooks',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listWebhooks',
        summary: 'List webhooks, newest first',
        description: SCANNED_PAGES,
        tags: ['history'],
        querystring: Type.Object(
          {
            event_type: Type.Optional(EventType),
            since: Type.Optional({
              ...Timestamp,
              description: 'Only webhooks accepted at or after this time.',
            }),
            until: Type.Optional({
              ...Timestamp,
              description: 'Only webhooks accepted before this time.',
            }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'A page of webhooks. next_cursor and the Link header lead to the next page.',
            Type.Object({ data: Type.Array(WebhookRow), next_cursor: nullable(Type.String()) }),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const { cursor, limit = DEFAULT_LIMIT, event_type, since, until } = request.query;
      const after = cursor === undefined ? undefined : readCursor(cursor, [CURSOR_UUID]);
      const { rows, next } = await listWebhooks(
        listPool,
        {
          tenant: request.tenant,
          eventType: event_type,
          since: since === undefined ? undefined : new Date(since),
          until: until === undefined ? undefined : new Date(until),
        },
        limit,
        after,
      );
      return reply.send({
        data: rows.map((row) => linkWebhook(row, linksOf(request))),
        next_cursor: nextPage(request, reply, next),
      } as never);
    },
  );

  app.get(
    '/v1/webhooks/:webhook_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getWebhook',
        summary: 'Get a webhook, its deliveries and their attempts',
        tags: ['history'],
        params: Type.Object({
          webhook_id: { ...WebhookId, examples: ['01890a5d-ac96-774b-bcce-b302099a8057'] },
        }),
        querystring: Type.Object(
          {
            include: Type.Optional(
              oneOf(['body'], 'body: include the body of the webhook in the answer.'),
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
      // One statement, so that deliveries and attempts are read from one snapshot.
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
          'p.id as webhook_id',
          'p.accepted_at',
          'p.event_type',
          'p.content_type',
          sql<number | null>`length(p.body)`.as('bytes'),
          sql<boolean>`p.body is null`.as('body_expired'),
          'd.subscription_id',
          's.url as subscription_url',
          'd.state',
          'd.reason',
          'd.attempt_count as attempts_made',
          'd.next_attempt_at',
          'd.ended_at',
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
      const to = linksOf(request);
      const [webhook] = rows;
      if (webhook === undefined) throw notFound('webhook', webhook_id);
      const bySubscription = Map.groupBy(
        rows.filter((row) => row.subscription_id !== null),
        (row) => row.subscription_id,
      );
      const deliveries = [...bySubscription.values()].map((deliveryRows) => ({
        ...linkDelivery(pick(deliveryRows[0] as Row, DELIVERY_FIELDS) as unknown as Named, to),
        attempts: deliveryRows
          .filter((row) => row.attempt_id !== null)
          .map((row) => pick(row, ATTEMPT_FIELDS)),
      }));
      const { accepted_at, event_type, content_type, bytes, body_expired } = webhook;
      return reply.send({
        ...linkWebhook(
          {
            webhook_id: webhook.webhook_id,
            accepted_at,
            event_type,
            content_type,
            bytes,
            body_expired,
          },
          to,
        ),
        ...(request.query.include === 'body' ? { body: await bodyOf(webhook_id, bytes) } : {}),
        deliveries,
      } as never);
    },
  );

  /** Reads the body in a query of its own: the statement above would return it once per attempt. */
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
