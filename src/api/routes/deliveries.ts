import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { inTransaction } from '../../db/transaction.ts';
import { cancelDelivery } from '../../deliveries/cancel-delivery.sql.ts';
import { type RetryRefusal, retryDelivery } from '../../deliveries/retry.ts';
import { getDelivery, isListedByDue, listDeliveries } from '../../history/deliveries.ts';
import { beginTask } from '../begin-task.ts';
import { CURSOR_ID, CURSOR_MICROSECONDS, CURSOR_UUID } from '../cursor.ts';
import { readDeliveryId } from '../delivery-id.ts';
import { linkDelivery, linksOf } from '../links.ts';
import { addListRoute } from '../list-route.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import {
  DELIVERY_STATES,
  described,
  EventType,
  named,
  oneOf,
  problems,
  RequestTimestamp,
  SubscriptionId,
  toDate,
  WebhookId,
} from '../schemas/common.ts';
import { Delivery, DeliveryId, SCANNED_PAGES } from '../schemas/history.ts';
import { CancelFilter, linkTask, Task } from '../schemas/task.ts';
import type { ApiServices } from '../services.ts';
import { tenantSubscription } from '../tenant-subscription.ts';

const Params = Type.Object({ delivery_id: DeliveryId });

const CancelledDelivery = named('CancelledDelivery', {
  ...Delivery.properties,
  request_may_be_open: Type.Boolean({
    description:
      'True: the delivery was due, so a worker may have it in hand at this moment. Its request is not aborted: the receiver may still get the webhook, the attempt is recorded, and the delivery stays cancelled. False: it was not due, so nothing is sent.',
  }),
});

/** Deliveries: each is the sending of a webhook to a subscription. */
export const deliveryRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, listPool } },
) => {
  addListRoute(app, {
    path: '/v1/deliveries',
    scope: 'read',
    operationId: 'listDeliveries',
    summary: 'List deliveries, newest webhooks first',
    description: `With \`state\` pending or held, the list is ordered by the time at which deliveries are due, the soonest first. ${SCANNED_PAGES}`,
    tag: 'history',
    page: 'A page of deliveries.',
    filters: {
      subscription_id: Type.Optional(SubscriptionId),
      webhook_id: Type.Optional(WebhookId),
      state: Type.Optional(oneOf(DELIVERY_STATES, 'The state of the delivery.')),
      event_type: Type.Optional(EventType),
      since: Type.Optional({
        ...RequestTimestamp,
        description: 'Only deliveries of webhooks accepted at or after this time.',
      }),
      until: Type.Optional({
        ...RequestTimestamp,
        description: 'Only deliveries of webhooks accepted before this time.',
      }),
    },
    row: Delivery,
    cursor: ({ state, webhook_id }) =>
      isListedByDue({ state, webhookId: webhook_id })
        ? [CURSOR_MICROSECONDS, CURSOR_UUID, CURSOR_ID]
        : [CURSOR_UUID, CURSOR_ID],
    async read({ tenant, filters, limit, after, to, report }) {
      const filter = {
        tenant,
        subscriptionId: filters.subscription_id,
        webhookId: filters.webhook_id,
        state: filters.state,
        eventType: filters.event_type,
        since: toDate(filters.since),
        until: toDate(filters.until),
      };
      const { rows, next } = await report((pool) => listDeliveries(pool, filter, limit, after));
      return { rows: rows.map((row) => linkDelivery(row, to)), next };
    },
  });

  app.get(
    '/v1/deliveries/:delivery_id',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getDelivery',
        summary: 'Get a delivery',
        tags: ['history'],
        params: Params,
        response: { 200: described('The delivery.', Delivery), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => reply.send(await findDelivery(request, request.params)),
  );

  app.post(
    '/v1/deliveries/:delivery_id/retry',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'retryDelivery',
        summary: 'Send a delivery again, now',
        description:
          'A delivery that has ended becomes pending again, whatever its state was: its attempt count goes on, and its retry schedule starts again. A delivery that waits for its next attempt becomes due now. A delivery that is already due or held does not change.',
        tags: ['history'],
        params: Params,
        response: {
          202: described('The delivery as it is now.', Delivery),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const { delivery_id: id } = request.params;
      const { webhookId, subscriptionId } = readDeliveryId(id);
      const refusal = await inTransaction(pool, (client) =>
        retryDelivery(client, request.tenant, webhookId, subscriptionId),
      );
      if (refusal === 'unknown') throw notFound('delivery', id);
      if (refusal !== null) throw new Problem('conflict', REFUSALS[refusal]);
      return reply.code(202).send(await findDelivery(request, request.params));
    },
  );

  app.post(
    '/v1/deliveries/:delivery_id/cancel',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'cancelDelivery',
        summary: 'Cancel a delivery that is pending or held',
        description:
          'Cancels this delivery at once; the other deliveries of its webhook go on. A request that is already in flight is not aborted: see `request_may_be_open`. The request may be repeated. A delivery that has succeeded or failed is not changed (409).',
        tags: ['history'],
        params: Params,
        response: {
          200: described('The delivery as it is now: cancelled.', CancelledDelivery),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const { delivery_id: id } = request.params;
      const { webhookId, subscriptionId } = readDeliveryId(id);
      const result = await cancelDelivery(pool, request.tenant, webhookId, subscriptionId);
      if (result === undefined) throw notFound('delivery', id);
      if (!result.cancelled)
        throw new Problem(
          'conflict',
          'This delivery has succeeded or failed, so it cannot be cancelled.',
        );
      return reply.send({
        ...(await findDelivery(request, request.params)),
        request_may_be_open: result.requestMayBeOpen,
      });
    },
  );

  app.post(
    '/v1/deliveries/cancel',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'cancelDeliveries',
        summary: 'Cancel pending and held deliveries',
        description:
          'Starts a task that cancels the deliveries which match and are still pending or held when the task reaches them. A request that is already in flight is not aborted; its result is recorded.',
        tags: ['tasks'],
        body: CancelFilter,
        response: {
          202: described('The task that cancels them.', Task),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id, event_types, states, since, until } = request.body;
      if (Object.keys(request.body).length === 0)
        throw invalidField(
          'body',
          'does not say which deliveries to cancel; give at least one of subscription_id, event_types, states, since and until',
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
      return reply.code(202).send(linkTask(task, linksOf(request)));
    },
  );

  async function findDelivery(
    request: FastifyRequest,
    { delivery_id: id }: { delivery_id: string },
  ) {
    const { webhookId, subscriptionId } = readDeliveryId(id);
    const delivery = await getDelivery(listPool, request.tenant, webhookId, subscriptionId);
    if (delivery === undefined) throw notFound('delivery', id);
    return linkDelivery(delivery, linksOf(request));
  }
};

const REFUSALS: Record<Exclude<RetryRefusal, 'unknown'>, string> = {
  'subscription deleted':
    'The subscription of this delivery is deleted, so there is no URL to send it to.',
  'body expired':
    'The body of this webhook is deleted: it is older than POSTHORN_PAYLOAD_RETENTION or the retention of its tenant. Send it as a new webhook.',
  'too many attempts':
    'This delivery has had as many attempts as can be counted. Send it as a new webhook.',
};
