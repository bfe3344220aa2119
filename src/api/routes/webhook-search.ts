import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { countDeliveryStates } from '../../history/delivery-states.sql.ts';
import { searchedThrough, searchWebhooks } from '../../history/search.ts';
import { ATTEMPT_CURSOR, CURSOR_ID, CURSOR_UUID } from '../cursor.ts';
import { createFilterCheck } from '../judge-subscription.ts';
import { linkWebhook } from '../links.ts';
import { addListRoute } from '../list-route.ts';
import {
  Channel,
  DELIVERY_STATES,
  EventType,
  nullable,
  oneOf,
  RequestTimestamp,
  SubscriptionId,
  Timestamp,
  toDate,
  WebhookId,
} from '../schemas/common.ts';
import { CODE_FILTERS, ListedWebhook, SCANNED_PAGES } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

/** The positions in a list of webhooks, by the rows that it reads. */
const CURSORS = {
  webhooks: [CURSOR_UUID],
  deliveries: [CURSOR_UUID, CURSOR_ID],
  attempts: ATTEMPT_CURSOR,
};

/** The list of webhooks, and the search in it. */
export const webhookSearchRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  const requireBodyPath = createFilterCheck(pool, 'query.body_path');
  addListRoute(app, {
    path: '/v1/webhooks',
    scope: 'read',
    operationId: 'listWebhooks',
    summary: 'List webhooks, newest first',
    description: `subscription_id, state, response_code and error_code are about the same delivery. With response_code or error_code, the webhooks with the newest such attempt come first. ${SCANNED_PAGES}`,
    tag: 'history',
    page: 'A page of webhooks.',
    filters: {
      webhook_id: Type.Optional(WebhookId),
      event_type: Type.Optional(EventType),
      subscription_id: Type.Optional({
        ...SubscriptionId,
        description: 'Only webhooks with a delivery to this subscription.',
      }),
      state: Type.Optional(oneOf(DELIVERY_STATES, 'Only webhooks with a delivery in this state.')),
      ...CODE_FILTERS,
      channel: Type.Optional(Channel),
      ordering_key: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 256,
          description: 'Only webhooks with this ordering key.',
          examples: ['order-7'],
        }),
      ),
      body_path: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 1000,
          description:
            'A JSON path on the data of the webhook, by the rules of filters (docs/filters.md). Bodies over 1 MiB are not searched.',
          examples: ['$.total > 100'],
        }),
      ),
      since: Type.Optional({
        ...RequestTimestamp,
        description: 'Only webhooks accepted at or after this time.',
      }),
      until: Type.Optional({
        ...RequestTimestamp,
        description: 'Only webhooks accepted before this time.',
      }),
      include: Type.Optional(
        oneOf(['deliveries'], 'deliveries: with the states of the deliveries of each webhook.'),
      ),
    },
    row: ListedWebhook,
    beside: {
      searched_until: Type.Optional(
        nullable({
          ...Timestamp,
          description:
            'How far back this page searched: to webhooks accepted, or with response_code or error_code to attempts ended, at this time. Null: to the end.',
        }),
      ),
    },
    cursor: ({ subscription_id, state, response_code, error_code }) =>
      CURSORS[
        searchedThrough({
          subscriptionId: subscription_id,
          state,
          responseCode: response_code,
          errorCode: error_code,
        })
      ],
    async read({ tenant, filters, limit, after, to, report }) {
      await requireBodyPath(filters.body_path);
      const search = {
        tenant,
        webhookId: filters.webhook_id,
        eventType: filters.event_type,
        subscriptionId: filters.subscription_id,
        state: filters.state,
        responseCode: filters.response_code,
        errorCode: filters.error_code,
        channel: filters.channel,
        orderingKey: filters.ordering_key,
        bodyPath: filters.body_path,
        since: toDate(filters.since),
        until: toDate(filters.until),
      };
      const { rows, next, searchedUntil } = await report((pool) =>
        searchWebhooks(pool, search, limit, after),
      );
      const place = { next, beside: { searched_until: searchedUntil } };
      const linked = rows.map((row) => linkWebhook(row, to));
      if (filters.include === undefined) return { rows: linked, ...place };
      const ids = rows.map(({ webhook_id }) => webhook_id);
      const states = await report((pool) => countDeliveryStates(pool, ids));
      return {
        rows: linked.map((row) => ({ ...row, deliveries: states.get(row.webhook_id) ?? {} })),
        ...place,
      };
    },
  });
};
