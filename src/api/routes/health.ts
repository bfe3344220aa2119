import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { subscriptionHealth } from '../../health/health.sql.ts';
import { notFound } from '../problems.ts';
import {
  described,
  named,
  nullable,
  oneOf,
  problems,
  SUBSCRIPTION_STATUSES,
  SubscriptionId,
  Timestamp,
} from '../schemas/common.ts';
import { Circuit, FailingSince } from '../schemas/health.ts';
import type { ApiServices } from '../services.ts';

const Health = named('SubscriptionHealth', {
  subscription_id: SubscriptionId,
  status: oneOf(SUBSCRIPTION_STATUSES),
  status_reason: nullable(Type.String()),
  circuit: Circuit,
  failing_since: FailingSince,
  failures: Type.Integer({
    description: 'The least number of attempts that have failed since then.',
  }),
  held: Type.Integer({ description: 'The number of held deliveries, counted up to 10,000.' }),
  held_more: Type.Boolean({ description: 'Whether more deliveries are held than `held` says.' }),
  oldest_held_at: nullable({
    ...Timestamp,
    description: 'When the oldest webhook with a held delivery was accepted.',
  }),
  in_flight: Type.Integer({
    description: 'Open requests of all workers together; the figure is at most five seconds old.',
  }),
  recent: Type.Object(
    {
      attempts: Type.Integer(),
      success_rate: nullable(Type.Number({ description: '0 to 1' })),
      per_second: Type.Number({ description: 'Attempts a second over the last minute.' }),
    },
    { description: 'Figures of its newest attempts, at most 1,000.' },
  ),
  last_error: nullable(
    Type.Object(
      { at: Timestamp, error_code: nullable(Type.String()), error: nullable(Type.String()) },
      { description: 'The newest error among its recent attempts.' },
    ),
  ),
});

/** The health of a subscription's receiver. */
export const healthRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool } },
) => {
  app.get(
    '/v1/subscriptions/:subscription_id/health',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSubscriptionHealth',
        summary: "Get a receiver's health: circuit, held deliveries, attempt rate, last error",
        tags: ['subscriptions'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        response: {
          200: described('The health of the receiver.', Health),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id } = request.params;
      const row = await subscriptionHealth(listPool, request.tenant, subscription_id);
      if (row === undefined) throw notFound('subscription', subscription_id);
      return reply.send({
        subscription_id,
        status: row.status,
        status_reason: row.status_reason,
        circuit: {
          state: row.circuit,
          opened_at: row.opened_at,
          next_probe_at: row.next_probe_at,
        },
        failing_since: row.failing_since,
        failures: row.failures ?? 0,
        held: row.held,
        held_more: row.held_more,
        oldest_held_at: row.oldest_held_at,
        in_flight: row.in_flight,
        recent: {
          attempts: row.recent_attempts,
          success_rate: row.recent_success_rate,
          per_second: row.attempts_per_second,
        },
        last_error:
          row.recent_error_at === null
            ? null
            : {
                at: row.recent_error_at,
                error_code: row.recent_error_code,
                error: row.recent_error,
              },
      });
    },
  );
};
