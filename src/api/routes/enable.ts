import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { enableSubscription } from '../../subscriptions/enable.ts';
import { getSubscription } from '../../subscriptions/store.ts';
import { notFound } from '../problems.ts';
import { described, named, oneOf, problems, SubscriptionId } from '../schemas/common.ts';
import { Subscription } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const Enabled = named('EnabledSubscription', {
  ...Subscription.properties,
  skipped: Type.Integer({ description: 'How many deliveries have been cancelled so far.' }),
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
        summary: 'Enable a subscription',
        description:
          'Makes the subscription active, whether it was paused, disabled or active. Its record of failures is cleared and its circuit is closed. Its pending and held deliveries are sent, the oldest first; with `backlog` skip they are cancelled instead, with the reason `skipped`.',
        tags: ['subscriptions'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        body: Type.Object(
          {
            backlog: Type.Optional({
              ...oneOf(
                ['resume', 'skip'],
                'resume: send its pending and held deliveries. skip: cancel them.',
              ),
              default: 'resume',
            }),
          },
          { additionalProperties: false, examples: [{ backlog: 'skip' }] },
        ),
        response: {
          200: described('The subscription, which is active.', Enabled),
          202: described(
            'There are many deliveries to skip. The subscription stays paused, and nothing is sent to it, until all of them are cancelled; then it becomes active.',
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
      return reply.code(active ? 200 : 202).send({ ...subscription, skipped });
    },
  );
};
