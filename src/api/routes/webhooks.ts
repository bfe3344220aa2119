import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { sql } from 'kysely';
import { Type } from 'typebox';
import { cancelWebhook } from '../../deliveries/cancel-webhook.sql.ts';
import { maxLoadedBytes, readBody } from '../../deliveries/payloads.sql.ts';
import { timingOf } from '../../history/attempt-timing.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { linksOf } from '../links.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
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
import {
  ATTEMPT_DETAILS,
  Delivery,
  linkDelivery,
  linkWebhook,
  WebhookRow,
} from '../schemas/history.ts';
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
  deliveries: Type.Array(Type.Object({ ...Delivery.properties, attempts: Type.Array(Attempt) })),
});

const WEBHOOK_FIELDS = [
  'webhook_id',
  'accepted_at',
  'deliver_at',
  'event_type',
  'content_type',
  'bytes',
  'body_expired',
] as const;
const DELIVERY_FIELDS = [
  'webhook_id',
  'subscription_id',
  'subscription_url',
  'event_type',
  'state',
  'reason',
  'attempts_made',
  'next_attempt_at',
  'ended_at',
  'body_expired',
] as const;
const ATTEMPT_FIELDS = [
  'attempt_number',
  'status',
  'response_code',
  'error_code',
  'error',
  'duration_ms',
  'response_excerpt',
  'webhook_timestamp',
  'timestamp',
] as const;

/** More of a delivery say nothing new to a person. */
const MAX_ATTEMPTS_SHOWN = 50;

/** A row whose columns of a left join are not null, because the joined table has a row. */
type Joined<Row, Column extends keyof Row> = Row & {
  readonly [Name in Column]: NonNullable<Row[Name]>;
};

type DeliveryColumn = 'subscription_id' | 'subscription_url' | 'state' | 'attempts_made';
type AttemptColumn = 'status' | 'duration_ms' | 'timestamp';

function hasDelivery<Row extends { readonly [Name in DeliveryColumn]: unknown }>(
  row: Row,
): row is Joined<Row, DeliveryColumn> {
  return row.subscription_id !== null;
}

function hasAttempt<Row extends { readonly [Name in AttemptColumn]: unknown }>(
  row: Row,
): row is Joined<Row, AttemptColumn> {
  return row.status !== null;
}

function pick<Row, Field extends keyof Row>(row: Row, fields: readonly Field[]): Pick<Row, Field> {
  return Object.fromEntries(fields.map((field) => [field, row[field]])) as Pick<Row, Field>;
}

/** Webhooks that were accepted, with their deliveries and attempts. */
export const webhookRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, pool, listPool, settings } },
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
                maximum: 1000,
                description: `The most deliveries in the answer, those of the lowest subscription ids first, each with its newest ${MAX_ATTEMPTS_SHOWN} attempts. Left out: all deliveries and all attempts.`,
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
      const { max_deliveries } = request.query;
      // One statement, so that deliveries and attempts are read from one snapshot.
      const rows = await db
        .selectFrom('posthorn.webhook_payloads as p')
        .leftJoinLateral(
          (from) =>
            from
              .selectFrom('posthorn.deliveries as one')
              .selectAll('one')
              .whereRef('one.webhook_id', '=', 'p.id')
              .$if(max_deliveries !== undefined, (few) =>
                few.orderBy('one.subscription_id').limit(max_deliveries ?? 0),
              )
              .as('d'),
          (join) => join.onTrue(),
        )
        .leftJoin('posthorn.subscriptions as s', 's.id', 'd.subscription_id')
        .leftJoinLateral(
          (from) =>
            from
              .selectFrom('posthorn.delivery_attempts as one')
              .selectAll('one')
              .whereRef('one.webhook_id', '=', 'd.webhook_id')
              .whereRef('one.subscription_id', '=', 'd.subscription_id')
              // In the order of the index that finds them.
              .$if(max_deliveries !== undefined, (few) =>
                few.orderBy('one.attempt_number', 'desc').limit(MAX_ATTEMPTS_SHOWN),
              )
              .as('a'),
          (join) => join.onTrue(),
        )
        .select([
          'p.id as webhook_id',
          'p.accepted_at',
          'p.deliver_at',
          'p.event_type',
          'p.content_type',
          'p.headers',
          sql<boolean>`coalesce(p.unfilterable, false)`.as('unfilterable'),
          sql<number | null>`length(p.body)`.as('bytes'),
          sql<boolean>`p.body is null`.as('body_expired'),
          'd.subscription_id',
          's.url as subscription_url',
          'd.state',
          'd.reason',
          'd.attempt_count as attempts_made',
          'd.next_attempt_at',
          'd.ended_at',
          'a.attempt_number',
          'a.status',
          'a.response_code',
          'a.error_code',
          'a.error',
          'a.duration_ms',
          'a.response_excerpt',
          'a.first_byte_ms',
          'a.dns_ms',
          'a.connect_ms',
          'a.tls_ms',
          'a.webhook_timestamp',
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
      const bySubscription = Map.groupBy(rows.filter(hasDelivery), (row) => row.subscription_id);
      const deliveries = [...bySubscription.values()].map((deliveryRows) => ({
        // A group has at least one row.
        ...linkDelivery(
          pick(deliveryRows[0] as (typeof deliveryRows)[number], DELIVERY_FIELDS),
          to,
        ),
        attempts: deliveryRows
          .filter(hasAttempt)
          .map((row) => ({ ...pick(row, ATTEMPT_FIELDS), timing_ms: timingOf(row) })),
      }));
      const { bytes } = webhook;
      return reply.send({
        ...linkWebhook(pick(webhook, WEBHOOK_FIELDS), to),
        headers: webhook.headers,
        unfilterable: webhook.unfilterable,
        ...(request.query.include === 'body' ? { body: await bodyOf(webhook_id, bytes) } : {}),
        deliveries,
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
          'Cancels all deliveries of the webhook that are pending or held, at once: a scheduled webhook (`deliver_at`) is then not sent. A request that is already in flight is not aborted; its result is recorded. The request may be repeated.',
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
      const { cancelled, ended } = result;
      if (cancelled === 0 && ended > 0)
        throw new Problem(
          'conflict',
          'All deliveries of this webhook have ended, so none can be cancelled.',
        );
      return { webhook_id, cancelled };
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
