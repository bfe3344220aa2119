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
const TEST_NOTICE = JSON.stringify({
  subject: 'Test of notices',
  text: 'This is a test: notices about subscriptions will arrive here.',
});

const Milliseconds = nullable(Type.Number());
const Outcome = Type.Object({
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  url: Url,
  status: oneOf(
    ATTEMPT_STATUSES,
    'The status that a delivery attempt with this result would have.',
  ),
  error_code: nullable(Type.String()),
  error: nullable(Type.String({ description: 'The error as a sentence for people.' })),
  response: nullable(
    Type.Object(
      {
        status_code: Type.Integer(),
        headers: Type.Record(Type.String(), Type.Union([Type.String(), Type.Array(Type.String())])),
        body_excerpt: nullable(
          Type.String({ description: 'The first KiB of the body of the answer.' }),
        ),
      },
      { description: "The receiver's answer. Null: it did not answer." },
    ),
  ),
  timing_ms: Type.Object(
    {
      dns: Milliseconds,
      connect: Milliseconds,
      tls: Milliseconds,
      first_byte: Milliseconds,
      body: Milliseconds,
      total: Type.Number(),
    },
    {
      description:
        'How long each phase took, in milliseconds. Null: the phase was not reached or not needed. The phase in which the request ended has the time until then. first_byte is the time from the open connection to the head of the answer. Through an egress proxy, connect includes all steps of connecting.',
    },
  ),
});

/** Sends a test webhook to a receiver. */
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
        summary: "Send a test webhook now and get the receiver's answer",
        description:
          'The test webhook is signed, and its address and time are limited, like those of a delivery. It is sent even if the subscription is paused or does not list the event type. It is not stored, and it is not retried. This route answers 200 whatever the receiver answers: see `status`.',
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
          200: described('The result of the test.', Outcome),
          ...problems(400, 401, 404, 409, 413, 415, 429),
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
      const { url } = subscription;
      if (url === null)
        throw new Problem(
          'conflict',
          `Subscription ${id} has no URL to send to: its receiver pulls. Send a webhook to it, and pull it.`,
        );
      const { webhook_id } = rows[0];
      // The receiver may take minutes.
      request.endTurn?.();
      const timestamp = new Date().toISOString();
      const result = await testSender.send(
        {
          webhookId: webhook_id,
          contentType: 'application/json',
          body: Buffer.from(
            subscription.format === 'notice'
              ? TEST_NOTICE
              : compactJson({ type, timestamp, data }, 'body.data'),
          ),
        },
        { ...subscription, url },
      );
      if (result === null) {
        throw new Problem(
          'too-many-requests',
          'This process already sends as many test webhooks at once as it may; try again in a moment.',
          { headers: { 'retry-after': '1' } },
        );
      }
      const { status, errorCode, error, answer, timing } = result;
      return reply.send({
        webhook_id,
        subscription_id: id,
        url: url.href,
        status,
        error_code: errorCode,
        error,
        response: answer && {
          status_code: answer.statusCode,
          headers: answer.headers,
          body_excerpt: answer.excerpt,
        },
        timing_ms: timing,
      });
    },
  );
};
