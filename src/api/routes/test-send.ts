import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { compactJson } from '../accepting.ts';
import { notFound, Problem } from '../problems.ts';
import {
  ATTEMPT_STATUSES,
  described,
  EventType,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  WebhookId,
} from '../schemas/common.ts';
import { Url } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const DEFAULT_TYPE = 'posthorn.test';

const Milliseconds = nullable(Type.Number());
const Outcome = Type.Object({
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  url: Url,
  status: oneOf(ATTEMPT_STATUSES, 'As an attempt of a delivery with this answer would have it.'),
  error_code: nullable(Type.String()),
  error: nullable(Type.String({ description: 'A sentence for people.' })),
  response: nullable(
    Type.Object(
      {
        status_code: Type.Integer(),
        headers: Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())])),
        body_excerpt: nullable(Type.String({ description: 'The first KiB of the answer.' })),
      },
      { description: 'What the receiver said; null when it said nothing.' },
    ),
  ),
  timing_ms: Type.Object(
    {
      dns: Milliseconds,
      connect: Milliseconds,
      tls: Milliseconds,
      first_byte: Milliseconds,
      total: Type.Number(),
    },
    {
      description:
        'How long each phase took, in milliseconds; null for one that was not reached or not needed. first_byte is from the connection until the head of the answer. Through an egress proxy, connect is all of the connection.',
    },
  ),
});

/** Trying a receiver out. */
export const testSendRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, testSender, subscriptions } },
) => {
  app.post(
    '/v1/subscriptions/:subscription_id/test',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'testSubscription',
        summary: 'Send a test webhook now, and see what the receiver says',
        description:
          'It is signed, guarded and bounded in time as a delivery is, and is sent whatever types the subscription wants, and though it be paused. Nothing is stored, and nothing is tried again. The answer is 200 whatever the receiver says: see `status`.',
        tags: ['subscriptions'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        body: Type.Object(
          {
            event_type: Type.Optional({ ...EventType, default: DEFAULT_TYPE }),
            data: Type.Optional(Type.Any({ description: 'Any JSON.' })),
          },
          {
            additionalProperties: false,
            examples: [{ event_type: 'order.created', data: { id: 7, total: 12.5 } }],
          },
        ),
        response: {
          200: described('What came of it.', Outcome),
          ...problems(400, 401, 404, 413, 415, 429),
        },
      },
    },
    async (request, reply) => {
      const { subscription_id: id } = request.params;
      const { event_type: type = DEFAULT_TYPE, data = { message: 'This is a test.' } } =
        request.body;
      const { rows } = await pool.query<{ webhook_id: string }>(
        `select posthorn.uuidv7()::text as webhook_id from posthorn.subscriptions
         where id = $1 and tenant = $2 and deleted_at is null`,
        [id, request.tenant],
      );
      const subscription = await subscriptions.get(id);
      if (rows[0] === undefined || subscription === null) throw notFound('subscription', id);
      const { webhook_id } = rows[0];
      // The receiver may take minutes.
      request.endTurn?.();
      const timestamp = new Date().toISOString();
      const result = await testSender.send(
        {
          webhookId: webhook_id,
          contentType: 'application/json',
          body: Buffer.from(compactJson({ type, timestamp, data }, 'body.data')),
        },
        subscription,
      );
      if (result === null) {
        throw new Problem(
          'too-many-requests',
          'As many test webhooks are under way as this process sends at once; try again when one has ended.',
          { headers: { 'retry-after': '1' } },
        );
      }
      const { status, errorCode, error, answer, timing } = result;
      return reply.send({
        webhook_id,
        subscription_id: id,
        url: subscription.url.href,
        status,
        error_code: errorCode,
        error,
        response: answer && {
          status_code: answer.statusCode,
          headers: answer.headers,
          body_excerpt: answer.excerpt,
        },
        timing_ms: timing,
      } as never);
    },
  );
};
