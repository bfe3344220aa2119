import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { enableSubscription } from '../../subscriptions/enable.ts';
import { getSubscription } from '../../subscriptions/store.ts';
import { notFound } from '../problems.ts';
import { described, oneOf, problems, SubscriptionId } from '../schemas/common.ts';
import { Subscription } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const Enabled = Type.Object({
  ...Subscription.properties,
  skipped: Type.Integer({ description: 'Deliveries that were cancelled, so far.' }),
});

/** Making subscriptions active again. */
export const enableRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, pool, subscriptions } },
) => {
  app.post(
    '/v1/subscriptions/:subscription_id/enable',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'enableSubscription',
        summary: 'Make a subscription active, whatever it was',
        description:
          'What is known of its failures is forgotten, and its circuit is closed. What it is owed is sent, the oldest first, or is skipped: cancelled, with the reason `skipped`.',
        tags: ['subscriptions'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        body: Type.Object(
          {
            backlog: Type.Optional({
              ...oneOf(['resume', 'skip'], 'What becomes of what it is owed.'),
              default: 'resume',
            }),
          },
          { additionalProperties: false, examples: [{ backlog: 'skip' }] },
        ),
        response: {
          200: described('It is active.', Enabled),
          202: described(
            'There is much to skip: it stays paused, and nothing is sent, until that is done.',
            Enabled,
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      const { backlog = 'resume' } = request.body;
      const enabled = await enableSubscription(pool, request.tenant, id, backlog);
      subscriptions.drop(id);
      const subscription = enabled && (await getSubscription(db, request.tenant, id));
      if (enabled === undefined || subscription === undefined) throw notFound('subscription', id);
      const { active, skipped } = enabled;
      return reply.code(active ? 200 : 202).send({ ...subscription, skipped } as never);
    },
  );
};
