import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { type Static, type TObject, Type } from 'typebox';
import type { AcceptedWebhook, Idempotency, IncomingWebhook } from '../../intake/accept.sql.ts';
import { freeNow } from '../../lib/free-now.ts';
import { elementSources, memberSources } from '../../lib/json-source.ts';
import { explainRefusal, parseJsonBody, takeRawJson } from '../accepting.ts';
import { IdempotencyKeyHeader, markReplayed, readIdempotency } from '../idempotency.ts';
import { notFound } from '../problems.ts';
import {
  Channel,
  described,
  named,
  problems,
  SentEventType,
  SubscriptionId,
  WebhookId,
} from '../schemas/common.ts';
import { createEventTypeCheck } from '../sent-types.ts';
import type { ApiServices } from '../services.ts';
import { createBodyCheck, validatorCompiler } from '../validation.ts';

const MAX_BATCH = 1000;

const Sent = {
  event_type: SentEventType,
  channels: Type.Optional(
    Type.Array(Channel, {
      minItems: 1,
      maxItems: 20,
      description: 'Subscriptions that list channels get it when they list one of these.',
      examples: [['project-42']],
    }),
  ),
  ordering_key: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        'At subscriptions with strict ordering, the webhooks of one key wait for each other, and no others.',
      examples: ['order-7'],
    }),
  ),
  data: Type.Any({ description: 'Any JSON. Its bytes are delivered as they are.' }),
  raw: Type.Optional(
    Type.Boolean({
      default: false,
      description:
        'Deliver `data` alone, instead of `{"type", "timestamp", "data"}` as Standard Webhooks has it.',
    }),
  ),
};

type SentWebhook = Static<TObject<typeof Sent>>;

const Send = Type.Object(
  {
    ...Sent,
    subscription_id: Type.Optional({
      ...SubscriptionId,
      description: 'To this subscription alone, whatever types it wants.',
    }),
  },
  {
    additionalProperties: false,
    examples: [{ event_type: 'order.created', data: { id: 7, total: 12.5 } }],
  },
);

const SendBatch = Type.Object(
  {
    webhooks: Type.Array(Type.Object(Sent, { additionalProperties: false }), {
      minItems: 1,
      maxItems: MAX_BATCH,
    }),
  },
  {
    additionalProperties: false,
    examples: [
      {
        webhooks: [
          { event_type: 'order.created', data: { id: 7 } },
          { event_type: 'order.paid', data: { id: 7 } },
        ],
      },
    ],
  },
);

const Accepted = named('AcceptedWebhook', {
  status: Type.Literal('accepted'),
  webhook_id: WebhookId,
  deliveries: Type.Integer({ description: 'To how many subscriptions it goes.' }),
});

const DESCRIPTION =
  'It goes to every subscription whose `event_types` has its type, `*`, or a prefix such as `order.*`, or lists none, and whose `channels` and `filter` match. A 202 means that it is committed.';

/** Sending webhooks to whoever wants their type. */
export const sendRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { intake, subscriptions, metrics, settings } = services;
  const requireTypes = createEventTypeCheck(services);
  takeRawJson(app, settings.maxBodyBytes);
  // Bodies stay bytes here, so their schemas are for the document, and are checked in the handlers.
  const shared = {
    validatorCompiler: (route: { httpPart?: string }) =>
      route.httpPart === 'body' ? () => true : validatorCompiler(route as never),
    bodyLimit: settings.maxBodyBytes,
  };

  // What a request was read from, as bytes, as text and as values, is gone while what it sends is
  // committed: they are the same again three times over.
  async function readOne(request: FastifyRequest): Promise<IncomingWebhook> {
    const body = request.body as Buffer;
    const { text, value } = parseJsonBody(body);
    requireSend(value);
    const sent = value as Static<typeof Send>;
    const idempotency = readIdempotency(request, body);
    freeNow(body);
    const { subscription_id } = sent;
    if (subscription_id !== undefined) {
      // Quicker to know than to ask, and what the cache cannot know yet the intake function does.
      const subscription = await subscriptions.get(subscription_id);
      if (subscription?.tenant !== request.tenant) throw notFound('subscription', subscription_id);
    }
    const data = memberSources(text).get('data') as string;
    const { tenant } = request;
    await requireTypes(tenant, [{ ...sent, data, field: 'body' }]);
    return {
      ...incoming(tenant, sent, data, idempotency),
      subscriptionId: subscription_id ?? null,
    };
  }

  async function readBatch(request: FastifyRequest): Promise<IncomingWebhook[]> {
    const body = request.body as Buffer;
    const { text, value } = parseJsonBody(body);
    requireBatch(value);
    const idempotency = readIdempotency(request, body);
    freeNow(body);
    const sources = elementSources(memberSources(text).get('webhooks') as string);
    const sent = (value as Static<typeof SendBatch>).webhooks.map((one, index) => ({
      ...one,
      data: memberSources(sources[index] as string).get('data') as string,
      field: `body.webhooks.${index}`,
    }));
    const { tenant } = request;
    await requireTypes(tenant, sent);
    return sent.map((one) => incoming(tenant, one, one.data, idempotency));
  }

  app.post(
    '/v1/webhooks',
    {
      config: { scope: 'send' },
      ...(shared as object),
      schema: {
        operationId: 'sendWebhook',
        summary: 'Send a webhook to whoever wants its type',
        description: DESCRIPTION,
        tags: ['ingest'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: Send,
        response: {
          202: described('It is committed.', Accepted),
          ...problems(400, 401, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const webhook = await readOne(request);
      let accepted: AcceptedWebhook | null;
      try {
        accepted = await intake.accept(webhook);
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      freeNow(webhook.body);
      if (accepted === null) throw notFound('subscription', webhook.subscriptionId as number);
      if (accepted.replayed) markReplayed(reply);
      else metrics.accepted.inc();
      return reply.code(202).send(answerOf(accepted));
    },
  );

  app.post(
    '/v1/webhooks/batch',
    {
      config: { scope: 'send' },
      ...(shared as object),
      schema: {
        operationId: 'sendWebhooks',
        summary: `Send up to ${MAX_BATCH} webhooks, all or none`,
        description: DESCRIPTION,
        tags: ['ingest'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: SendBatch,
        response: {
          202: described(
            'They are committed, in one transaction.',
            Type.Object({
              status: Type.Literal('accepted'),
              webhooks: Type.Array(Accepted, { description: 'In the order given.' }),
            }),
          ),
          ...problems(400, 401, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const webhooks = await readBatch(request);
      let accepted: (AcceptedWebhook | null)[];
      try {
        accepted = await intake.acceptAll(webhooks);
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      for (const { body } of webhooks) freeNow(body);
      if (accepted[0]?.replayed) markReplayed(reply);
      else metrics.accepted.inc(accepted.length);
      return reply.code(202).send({
        status: 'accepted',
        webhooks: accepted.map((one) => answerOf(one as AcceptedWebhook)),
      });
    },
  );
};

const requireSend = createBodyCheck(Send);
const requireBatch = createBodyCheck(SendBatch);

/** The webhook as it will be delivered: `data` is the source text, never parsed and written again. */
function incoming(
  tenant: string,
  sent: Omit<SentWebhook, 'data'>,
  data: string,
  idempotency: Idempotency | null,
): IncomingWebhook {
  const { event_type: eventType, raw = false, channels = null, ordering_key = null } = sent;
  const head = raw
    ? ''
    : `{"type":${JSON.stringify(eventType)},"timestamp":"${new Date().toISOString()}","data":`;
  return {
    subscriptionId: null,
    tenant,
    eventType,
    channels,
    orderingKey: ordering_key,
    contentType: 'application/json',
    body: Buffer.from(raw ? data : `${head}${data}}`),
    // An event type is ASCII.
    dataStart: head.length,
    idempotency,
  };
}

function answerOf({ id, deliveries }: AcceptedWebhook) {
  return { status: 'accepted' as const, webhook_id: id, deliveries };
}
