import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { pauseSubscription, resumeSubscription } from '../../subscriptions/pause.ts';
import type { Subscription as StoredSubscription } from '../../subscriptions/store.ts';
import { notFound, Problem } from '../problems.ts';
import { described, nullable, problems, SubscriptionId } from '../schemas/common.ts';
import { Subscription } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const Params = Type.Object({ subscription_id: SubscriptionId });

/** Pauses and resumes subscriptions. Both are idempotent. */
export const subscriptionActionRoutes: FastifyPluginAsyncTypebox<{
  services: ApiServices;
}> = async (app, { services: { db } }) => {
  app.post(
    '/v1/subscriptions/:subscription_id/pause',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'pauseSubscription',
        summary: 'Pause a subscription',
        description:
          'Its deliveries, and those of webhooks accepted while it is paused, are held until it is resumed. Requests that are already in flight are not aborted.',
        tags: ['subscriptions'],
        params: Params,
        body: Type.Object(
          {
            reason: Type.Optional(
              nullable(
                Type.String({
                  maxLength: 1000,
                  description: 'A note for people; shown as status_reason.',
                }),
              ),
            ),
          },
          { additionalProperties: false, examples: [{ reason: 'maintenance until noon' }] },
        ),
        response: {
          200: described('The subscription, paused.', Subscription),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      const subscription = await pauseSubscription(db, request.tenant, id, request.body.reason);
      return reply.send(requireEnabled(id, subscription));
    },
  );

  app.post(
    '/v1/subscriptions/:subscription_id/resume',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'resumeSubscription',
        summary: 'Resume a subscription that was paused',
        description:
          'Its held deliveries are sent, the oldest first, as fast as the receiver takes them.',
        tags: ['subscriptions'],
        params: Params,
        response: {
          200: described('The subscription, active.', Subscription),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      const subscription = await resumeSubscription(db, request.tenant, id);
      return reply.send(requireEnabled(id, subscription));
    },
  );
};

/** Pausing and resuming leave a disabled subscription as it is. */
function requireEnabled(id: number, subscription: StoredSubscription | undefined) {
  if (subscription === undefined) throw notFound('subscription', id);
  if (subscription.status !== 'disabled') return subscription;
  throw new Problem(
    'conflict',
    `Subscription ${id} is disabled, so it can be neither paused nor resumed. POST /v1/subscriptions/${id}/enable makes it active.`,
  );
}
