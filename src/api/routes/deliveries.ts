import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { inTransaction } from '../../db/transaction.ts';
import { type RetryRefusal, retryDelivery } from '../../deliveries/retry.ts';
import { getDelivery, isListedByDue, listDeliveries } from '../../history/deliveries.ts';
import { beginTask } from '../begin-task.ts';
import { linksOf } from '../links.ts';
import {
  CURSOR_ID,
  CURSOR_MICROSECONDS,
  CURSOR_UUID,
  DEFAULT_LIMIT,
  nextPage,
  PageQuery,
  readCursor,
} from '../paging.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import {
  DELIVERY_STATES,
  described,
  EventType,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import {
  Delivery,
  DeliveryId,
  linkDelivery,
  readDeliveryId,
  SCANNED_PAGES,
} from '../schemas/history.ts';
import { CancelFilter, linkTask, Task } from '../schemas/task.ts';
import type { ApiServices } from '../services.ts';
import { tenantSubscription } from '../tenant-subscription.ts';

const Params = Type.Object({ delivery_id: DeliveryId });

/** Deliveries: a webhook each, to a subscription. */
export const deliveryRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, listPool } },
) => {
  app.get(
    '/v1/deliveries',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listDeliveries',
        summary: 'List deliveries, newest webhooks first',
        description: `Those that are owed (\`state\` pending or held) come by when they are due, the soonest first. ${SCANNED_PAGES}`,
        tags: ['history'],
        querystring: Type.Object(
          {
            subscription_id: Type.Optional(SubscriptionId),
            webhook_id: Type.Optional(WebhookId),
            state: Type.Optional(oneOf(DELIVERY_STATES, 'What has become of it.')),
            event_type: Type.Optional(EventType),
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
      const { cursor, limit = DEFAULT_LIMIT, ...query } = request.query;
      const filter = {
        tenant: request.tenant,
        subscriptionId: query.subscription_id,
        webhookId: query.webhook_id,
        state: query.state,
        eventType: query.event_type,
        since: query.since === undefined ? undefined : new Date(query.since),
        until: query.until === undefined ? undefined : new Date(query.until),
      };
      const place = isListedByDue(filter)
        ? [CURSOR_MICROSECONDS, CURSOR_UUID, CURSOR_ID]
        : [CURSOR_UUID, CURSOR_ID];
      const after = cursor === undefined ? undefined : readCursor(cursor, place);
      const to = linksOf(request);
      const { rows, next } = await listDeliveries(listPool, filter, limit, after);
      return reply.send({
        data: rows.map((row) => linkDelivery(row, to)),
        next_cursor: nextPage(request, reply, next),
      } as never);
    },
  );

  app.get(
    '/v1/deliveries/:delivery_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getDelivery',
        summary: 'A delivery',
        tags: ['history'],
        params: Params,
        response: { 200: described('The delivery.', Delivery), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => reply.send((await find(request, request.params)) as never),
  );

  app.post(
    '/v1/deliveries/:delivery_id/retry',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'retryDelivery',
        summary: 'Send a delivery again, now',
        description:
          'One that has ended, however it did, is owed again: its attempts go on being counted, and its retry schedule begins anew. One that waits for its next attempt is due now. One that is due or held already stays as it is.',
        tags: ['history'],
        params: Params,
        response: {
          202: described('It is owed.', Delivery),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const { delivery_id: id } = request.params;
      const { webhookId, subscriptionId } = namesOf(id);
      const refusal = await inTransaction(pool, (client) =>
        retryDelivery(client, request.tenant, webhookId, subscriptionId),
      );
      if (refusal === 'unknown') throw notFound('delivery', id);
      if (refusal !== null) throw new Problem('conflict', REFUSALS[refusal]);
      return reply.code(202).send((await find(request, request.params)) as never);
    },
  );

  app.post(
    '/v1/deliveries/cancel',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'cancelDeliveries',
        summary: 'Cancel what is owed',
        description:
          'A task cancels the deliveries that fit and are owed when it comes to them. A request that is under way is not called back; what comes of it is recorded.',
        tags: ['tasks'],
        body: CancelFilter,
        response: {
          202: described('The task that does it.', Task),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id, event_types, states, since, until } = request.body;
      if (Object.keys(request.body).length === 0)
        throw invalidField(
          'body',
          'says nothing of what to cancel: give subscription_id, event_types, states, since or until',
        );
      if (subscription_id !== undefined)
        await tenantSubscription(pool, request.tenant, subscription_id);
      const task = await beginTask(pool, {
        tenant: request.tenant,
        kind: 'cancel',
        subscriptionId: subscription_id ?? null,
        since: since === undefined ? null : new Date(since),
        until: new Date(until ?? Date.now()),
        states: states ?? ['pending', 'held'],
        eventTypes: event_types ?? null,
        rate: null,
      });
      reply.header('location', linksOf(request)(`/v1/tasks/${task.id}`));
      return reply.code(202).send(linkTask(task, linksOf(request)) as never);
    },
  );

  async function find(request: FastifyRequest, { delivery_id: id }: { delivery_id: string }) {
    const { webhookId, subscriptionId } = namesOf(id);
    const delivery = await getDelivery(listPool, request.tenant, webhookId, subscriptionId);
    if (delivery === undefined) throw notFound('delivery', id);
    return linkDelivery(delivery, linksOf(request));
  }
};

/** Of what an `integer` holds; no subscription has a greater id. */
const MAX_ID = 2_147_483_647;

const REFUSALS: Record<Exclude<RetryRefusal, 'unknown'>, string> = {
  'subscription deleted': 'Its subscription is deleted; there is nobody to send it to.',
  'body expired':
    'Its body is gone: POSTHORN_PAYLOAD_RETENTION, or the retention of its tenant, is over. Send it as a new webhook.',
  'too many attempts': 'It has had more attempts than can be counted. Send it as a new webhook.',
};

function namesOf(id: string): { webhookId: string; subscriptionId: number } {
  const names = readDeliveryId(id);
  if (names.subscriptionId > MAX_ID) throw notFound('delivery', id);
  return names;
}
