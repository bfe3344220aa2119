import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { rebuildRequest } from '../../sending/sent-request.ts';
import { readDeliveryId } from '../delivery-id.ts';
import { notFound } from '../problems.ts';
import { described, named, nullable, problems } from '../schemas/common.ts';
import { DeliveryId } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

const SentRequest = named('SentRequest', {
  sent: Type.Boolean({
    description: 'False: the attempt ended before a request was sent, and there are no headers.',
  }),
  method: Type.Literal('POST'),
  url: nullable(
    Type.String({ description: 'The URL of the subscription as it is now. Null: not known.' }),
  ),
  headers: Type.Array(
    Type.Object({
      name: Type.String(),
      value: nullable(Type.String({ description: 'Null: not known.' })),
      note: nullable(
        Type.String({
          description:
            'Why the value is not known, or may have been another. Null: this is what was sent.',
        }),
      ),
    }),
  ),
  notes: Type.Array(Type.String(), {
    description: 'Sentences about what is uncertain besides the headers.',
  }),
});

/** The headers of a request that was sent, as far as they are known afterwards. */
export const sentRequestRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool, subscriptions } },
) => {
  app.get(
    '/v1/deliveries/:delivery_id/attempts/:attempt_number/request',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getSentRequest',
        summary: 'Show the headers of a request that was sent',
        description:
          'The headers are built again from what is stored about the webhook, the attempt and the subscription. What is not certain has a note, such as headers of a subscription that was changed since. Values of signatures are not shown.',
        tags: ['history'],
        params: Type.Object({
          delivery_id: DeliveryId,
          attempt_number: Type.Integer({
            minimum: 1,
            maximum: 32_767,
            description: 'The number of the attempt.',
            examples: [1],
          }),
        }),
        response: {
          200: described('The request of the attempt.', SentRequest),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request, reply) => {
      const { delivery_id: id, attempt_number: attemptNumber } = request.params;
      const found = await rebuildRequest(listPool, subscriptions, request.tenant, {
        ...readDeliveryId(id),
        attemptNumber,
      });
      if (found === undefined) throw notFound('attempt', `${id} number ${attemptNumber}`);
      return reply.send({
        ...found,
        method: 'POST' as const,
        headers: found.headers.map((header) => ({ ...header })),
        notes: [...found.notes],
      });
    },
  );
};
