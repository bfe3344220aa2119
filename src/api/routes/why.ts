import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { formatDuration } from '../../lib/duration.ts';
import type { Change } from '../../why/changes.ts';
import type { Facts } from '../../why/facts.sql.ts';
import { explainDelivery, type Why } from '../../why/why.ts';
import { readDeliveryId } from '../delivery-id.ts';
import { linksOf, type To } from '../links.ts';
import { notFound } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import { DeliveryId } from '../schemas/history.ts';
import { DeliveryWhy } from '../schemas/why.ts';
import type { ApiServices } from '../services.ts';

/** Why a delivery is in its state. */
export const whyRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool, settings } },
) => {
  app.get(
    '/v1/deliveries/:delivery_id/why',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getDeliveryWhy',
        summary: 'Say why a delivery is in its state, and what would change it',
        description:
          'A sentence for people, the facts behind it, and the requests that would change it. It is read from the database, so it knows what all processes have stored. What only the memory of a worker knows is said as an alternative: "waits for its turn in the queue or is being sent now".',
        tags: ['history'],
        params: Type.Object({ delivery_id: DeliveryId }),
        response: {
          200: described('Why the delivery is in its state.', DeliveryWhy),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { delivery_id: id } = request.params;
      const { webhookId, subscriptionId } = readDeliveryId(id);
      const why = await explainDelivery(
        listPool,
        request.tenant,
        webhookId,
        subscriptionId,
        settings.retrySchedule,
      );
      if (why === undefined) throw notFound('delivery', id);
      return reply.send(shown(id, why, linksOf(request)));
    },
  );
};

function shown(
  id: string,
  { facts, why, reason, since, changes, attempt, expiresAt }: Why,
  to: To,
) {
  const { delivery, subscription, lastAttempt, workers, queue, subscriptionId } = facts;
  const { rateLimit } = subscription;
  return {
    id,
    webhook_id: facts.webhookId,
    subscription_id: subscriptionId,
    event_type: delivery.eventType,
    state: delivery.state,
    reason,
    why,
    since,
    read_at: facts.now,
    accepted_at: delivery.acceptedAt,
    deliver_at: delivery.deliverAt,
    next_attempt_at: delivery.dueAt,
    ended_at: delivery.endedAt,
    expires_at: expiresAt,
    attempt: { ...attempt },
    last_attempt:
      lastAttempt === null
        ? null
        : {
            number: lastAttempt.number,
            at: lastAttempt.at,
            status: lastAttempt.status,
            response_code: lastAttempt.responseCode,
            error_code: lastAttempt.errorCode,
            error: lastAttempt.error,
            duration_ms: lastAttempt.durationMs,
          },
    subscription: {
      status: subscription.status,
      status_reason: subscription.statusReason,
      status_changed_at: subscription.statusChangedAt,
      deleted_at: subscription.deletedAt,
    },
    circuit: circuitOf(facts),
    order:
      subscription.ordering === 'none'
        ? null
        : {
            key: delivery.orderingKey,
            behind: queue?.behind == null ? null : `${queue.behind.webhookId}.${subscriptionId}`,
            complete: queue?.complete ?? true,
          },
    rate_limit:
      rateLimit === null ? null : { limit: rateLimit.limit, per: formatDuration(rateLimit.perMs) },
    max_in_flight: subscription.maxInFlight,
    in_flight: workers.inFlight,
    ahead: queue?.ahead ?? null,
    ahead_more: queue?.aheadMore ?? false,
    worker: workers.holder === null ? null : { ...workers.holder },
    workers: { queue: workers.ofQueue, backlogs: workers.ofBacklogs },
    change: changes.map((change) => showChange(change, to)),
  };
}

function circuitOf({ circuit, subscription, now }: Facts) {
  if (circuit === null) return null;
  const { openedAt, probeAt } = circuit;
  const active = subscription.status === 'active';
  const halfOpen = active && probeAt !== null && probeAt <= now;
  return {
    state:
      openedAt === null
        ? ('closed' as const)
        : halfOpen
          ? ('half_open' as const)
          : ('open' as const),
    opened_at: openedAt,
    next_probe_at: active ? probeAt : null,
    failing_since: circuit.failingSince,
    failures: circuit.failures,
    last_error_code: circuit.lastErrorCode,
    last_error: circuit.lastError,
  };
}

/** Makes the path of the request a link for this client. */
export function showChange({ action, text, request, sql }: Change, to: To) {
  return {
    action,
    text,
    request:
      request === null ? null : { ...request, path: to(request.path), input: [...request.input] },
    sql,
  };
}
