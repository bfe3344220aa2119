import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { cancelDeleted } from '../../bulk-operations/delete.ts';
import { listSubscriptions } from '../../subscriptions/list.ts';
import {
  createSubscription,
  deleteSubscription,
  updateSubscription,
} from '../../subscriptions/store.ts';
import { warningOf } from '../choose-secret.ts';
import { createSubscriptionJudge } from '../judge-subscription.ts';
import { invalidField, notFound } from '../problems.ts';
import { described, problems, SubscriptionId } from '../schemas/common.ts';
import { Deleted, Secret, SecretWarning, Subscription, Url } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

/** Subscriptions read at once for the list, and the bytes of text that clients chose in them. */
const PART = { limit: 500, maxBytes: 256 * 1024 };

/** The list is one array, as in the first system. If it is long, it is read and sent in parts. */
const SubscriptionList = Type.Unsafe<Static<typeof Subscription>[] | Readable>(
  Type.Array(Subscription),
);

/** The first system's routes for subscriptions. */
export const subscriptionRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, pool, sealer, settings, subscriptions } },
) => {
  const judge = createSubscriptionJudge(settings);

  app.post(
    '/subscriptions/createsubscription',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'createSubscriptionLegacy',
        summary: 'Create a subscription',
        tags: ['subscriptions'],
        body: Type.Object(
          { url: Url, secret: Type.Optional(Secret) },
          { additionalProperties: false, examples: [{ url: 'https://example.com/webhooks' }] },
        ),
        response: {
          201: described(
            'The subscription. Its secret is never shown again.',
            Type.Object({ ...Subscription.properties, ...SecretWarning }),
          ),
          ...problems(400, 401, 413, 415),
        },
      },
    },
    async (request, reply) => {
      // The first system had no event types: such a subscription gets only webhooks handed in for it.
      const fields = { ...judge(request.body), event_types: [], tenant: request.tenant };
      const subscription = await createSubscription(db, sealer, fields);
      return reply.code(201).send({ ...subscription, ...warningOf(request.body.secret) });
    },
  );

  app.get(
    '/subscriptions/getsubscriptions',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'listSubscriptionsLegacy',
        summary: 'List the subscriptions',
        tags: ['subscriptions'],
        response: {
          200: described('All subscriptions, by id.', SubscriptionList),
          ...problems(401),
        },
      },
    },
    async (request, reply) => {
      const first = await listSubscriptions(db, { tenant: request.tenant, after: 0, ...PART });
      if (first.next === null) return reply.send(first.rows);
      reply.type('application/json; charset=utf-8');
      return reply.send(Readable.from(writeList(request, first)));
    },
  );

  app.put(
    '/subscriptions/updatesubscription',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'updateSubscriptionLegacy',
        summary: "Change a subscription's URL or secret",
        tags: ['subscriptions'],
        body: Type.Object(
          { id: SubscriptionId, url: Type.Optional(Url), secret: Type.Optional(Secret) },
          {
            additionalProperties: false,
            examples: [{ id: 1, url: 'https://example.com/webhooks' }],
          },
        ),
        response: {
          200: described(
            'The subscription as it is now.',
            Type.Object({ message: Type.String(), ...Subscription.properties, ...SecretWarning }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { id, ...change } = request.body;
      if (change.url === undefined && change.secret === undefined) {
        throw invalidField('body', 'has no field to change; give url, secret or both');
      }
      const subscription = await updateSubscription(db, sealer, request.tenant, id, judge(change));
      if (subscription === undefined) throw notFound('subscription', id);
      subscriptions.drop(id);
      return reply.send({
        message: 'Subscription updated successfully',
        ...subscription,
        ...warningOf(change.secret),
      });
    },
  );

  app.delete(
    '/subscriptions/deletesubscription',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deleteSubscriptionLegacy',
        summary: 'Delete a subscription',
        description:
          'Its pending and held deliveries are cancelled: up to a thousand at once, the rest by a task. None of them is sent meanwhile. Its history stays.',
        tags: ['subscriptions'],
        body: Type.Object(
          { id: SubscriptionId },
          { additionalProperties: false, examples: [{ id: 1 }] },
        ),
        response: {
          200: described(
            'The subscription is deleted.',
            Type.Object({
              message: Type.String(),
              ...Deleted.properties,
            }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request) => {
      const task = await deleteSubscription(db, request.tenant, request.body.id);
      if (task === undefined) throw notFound('subscription', request.body.id);
      return {
        message: 'Subscription deleted successfully',
        ...(await cancelDeleted(pool, task)),
      };
    },
  );

  /** Writes the list from its first part on. A part is read when the client has taken the one before. */
  async function* writeList(
    request: FastifyRequest,
    first: Awaited<ReturnType<typeof listSubscriptions>>,
  ): AsyncGenerator<string> {
    const { tenant } = request;
    let { rows, next } = first;
    yield `[${rows.map((row) => JSON.stringify(row)).join(',')}`;
    // The answer to HEAD has no body.
    while (next !== null && request.method !== 'HEAD') {
      const after = next;
      ({ rows, next } = await app.inTurn(request, () =>
        listSubscriptions(db, { tenant, after, ...PART }),
      ));
      yield rows.map((row) => `,${JSON.stringify(row)}`).join('');
    }
    yield ']';
  }
};
