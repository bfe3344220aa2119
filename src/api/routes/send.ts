import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { type Static, type TObject, Type } from 'typebox';
import type { AcceptedWebhook, Idempotency, IncomingWebhook } from '../../intake/accept.sql.ts';
import { freeBuffer } from '../../lib/free-buffer.ts';
import { elementSources, memberSources } from '../../lib/json-source.ts';
import { MAX_FORWARDED } from '../../subscriptions/ingest.ts';
import { PolicyError } from '../../subscriptions/policy.ts';
import { webhookHeaders } from '../../subscriptions/webhook-headers.ts';
import { type TraceContext, withTraceContext } from '../../tracing/trace-context.ts';
import { explainRefusal, parseJsonBody, takeRawJson } from '../accepting.ts';
import { IdempotencyKeyHeader, markReplayed, readIdempotency } from '../idempotency.ts';
import { requireWebhookFormat } from '../judge-notices.ts';
import { invalidField, notFound } from '../problems.ts';
import {
  Channel,
  described,
  mapOf,
  named,
  problems,
  RequestTimestamp,
  SentEventType,
  SubscriptionId,
  WebhookId,
} from '../schemas/common.ts';
import { createEventTypeCheck } from '../sent-types.ts';
import type { ApiServices } from '../services.ts';
import { createBodyCheck, validatorOfAllButBody } from '../validation.ts';

const MAX_BATCH = 1000;
/** As in schema/functions/check_deliver_at.sql. */
const MAX_AHEAD_MS = 30 * 86_400_000;

const Sent = {
  event_type: SentEventType,
  channels: Type.Optional(
    Type.Array(Channel, {
      minItems: 1,
      maxItems: 20,
      description:
        'A subscription that lists channels gets the webhook only if it lists one of these.',
      examples: [['project-42']],
    }),
  ),
  ordering_key: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 256,
      description:
        'For subscriptions with strict ordering: webhooks with the same key are delivered one after another; webhooks with different keys do not wait for each other.',
      examples: ['order-7'],
    }),
  ),
  headers: Type.Optional(
    mapOf(Type.String({ maxLength: 2000 }), {
      propertyNames: { minLength: 1, maxLength: 100 },
      maxProperties: MAX_FORWARDED,
      description:
        'Headers that all deliveries of this webhook get; at most 4,096 bytes together. Their names arrive in lower case. A header of the same name in the `headers` of a subscription goes first. Headers of the connection, of the body, of Posthorn and of proxies, and those with credentials, are refused.',
      examples: [{ 'x-source': 'billing' }],
    }),
  ),
  deliver_at: Type.Optional({
    ...RequestTimestamp,
    description:
      'When to deliver the webhook (RFC 3339, with an offset): at most 30 days ahead. A time in the past means at once. The subscriptions that it goes to are chosen when it is accepted.',
    examples: ['2026-01-31T12:00:00Z'],
  }),
  data: Type.Any({ description: 'Any JSON. It is delivered byte for byte.' }),
  raw: Type.Optional(
    Type.Boolean({
      default: false,
      description:
        'true: the delivered body is `data` alone. false: it is `{"type", "timestamp", "data"}`, as Standard Webhooks defines it.',
    }),
  ),
};

type SentWebhook = Static<TObject<typeof Sent>>;

const Send = Type.Object(
  {
    ...Sent,
    subscription_id: Type.Optional({
      ...SubscriptionId,
      description:
        'Send to this subscription only, whatever its event types, channels and filter are.',
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
  deliveries: Type.Integer({ description: 'How many subscriptions the webhook is delivered to.' }),
});

const DESCRIPTION =
  'A webhook goes to every subscription whose `event_types`, `channels` and `filter` match. `event_types` matches if it is null or lists the type itself, a prefix such as `order.*`, or `*`. A 202 means that the webhook is committed.';

/** Sends a webhook, or a batch of webhooks, by event type. */
export const sendRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { intake, subscriptions, metrics, settings } = services;
  const requireTypes = createEventTypeCheck(services);
  takeRawJson(app);
  // Bodies stay bytes here. Their schemas are for the OpenAPI document; the handlers check them.
  const shared = {
    validatorCompiler: validatorOfAllButBody,
    bodyLimit: settings.maxBodyBytes,
  };

  // The two readers are functions of their own so that the request's bytes, text and values can be
  // collected while its webhooks are committed: together they are three times the size of the body.
  async function readWebhook(request: FastifyRequest): Promise<IncomingWebhook> {
    const body = request.body as Buffer;
    const { text, value } = parseJsonBody(body);
    requireSend(value);
    const sent = value as Static<typeof Send>;
    const idempotency = readIdempotency(request, body);
    freeBuffer(body);
    const { subscription_id } = sent;
    if (subscription_id !== undefined) {
      // The cache saves a query here. What it does not know yet, such as a deletion, the intake function checks.
      const subscription = await subscriptions.get(subscription_id);
      if (subscription?.tenant !== request.tenant) throw notFound('subscription', subscription_id);
      requireWebhookFormat(subscription);
    }
    const data = memberSources(text).get('data') as string;
    const { tenant } = request;
    await requireTypes(tenant, [{ ...sent, data, field: 'body' }]);
    return {
      ...incoming(tenant, { ...sent, field: 'body' }, data, idempotency, request.trace),
      subscriptionId: subscription_id ?? null,
    };
  }

  async function readBatch(request: FastifyRequest): Promise<IncomingWebhook[]> {
    const body = request.body as Buffer;
    const { text, value } = parseJsonBody(body);
    requireBatch(value);
    const idempotency = readIdempotency(request, body);
    freeBuffer(body);
    const sources = elementSources(memberSources(text).get('webhooks') as string);
    const sent = (value as Static<typeof SendBatch>).webhooks.map((webhook, index) => ({
      ...webhook,
      data: memberSources(sources[index] as string).get('data') as string,
      field: `body.webhooks.${index}`,
    }));
    const { tenant } = request;
    await requireTypes(tenant, sent);
    const { trace } = request;
    return sent.map((webhook) => incoming(tenant, webhook, webhook.data, idempotency, trace));
  }

  app.post(
    '/v1/webhooks',
    {
      config: { scope: 'send', handsIn: true },
      ...(shared as object),
      schema: {
        operationId: 'sendWebhook',
        summary: 'Send a webhook by event type',
        description: DESCRIPTION,
        tags: ['ingest'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: Send,
        response: {
          202: described('The webhook is committed.', Accepted),
          ...problems(400, 401, 404, 409, 413, 415, 422),
        },
      },
    },
    async (request, reply) => {
      const webhook = await readWebhook(request);
      let accepted: AcceptedWebhook | null;
      try {
        accepted = await intake.accept(webhook);
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      freeBuffer(webhook.body);
      request.webhookId = accepted?.id ?? null;
      if (accepted === null) throw notFound('subscription', webhook.subscriptionId as number);
      if (accepted.replayed) markReplayed(reply);
      else metrics.accepted.inc();
      return reply.code(202).send(answerOf(accepted));
    },
  );

  app.post(
    '/v1/webhooks/batch',
    {
      config: { scope: 'send', handsIn: true },
      ...(shared as object),
      schema: {
        operationId: 'sendWebhooks',
        summary: `Send up to ${MAX_BATCH} webhooks by event type, all or none`,
        description: DESCRIPTION,
        tags: ['ingest'],
        headers: Type.Object(IdempotencyKeyHeader),
        body: SendBatch,
        response: {
          202: described(
            'All webhooks are committed, in one transaction.',
            Type.Object({
              status: Type.Literal('accepted'),
              webhooks: Type.Array(Accepted, {
                description: 'The webhooks in the order of the request.',
              }),
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
      for (const { body } of webhooks) freeBuffer(body);
      if (accepted[0]?.replayed) markReplayed(reply);
      else metrics.accepted.inc(accepted.length);
      return reply.code(202).send({
        status: 'accepted',
        webhooks: accepted.map((webhook) => answerOf(webhook as AcceptedWebhook)),
      });
    },
  );
};

const requireSend = createBodyCheck(Send);
const requireBatch = createBodyCheck(SendBatch);

/** Makes the webhook as it will be delivered. `data` is the source text, so that it is delivered byte for byte. */
function incoming(
  tenant: string,
  sent: Omit<SentWebhook, 'data'> & { readonly field: string },
  data: string,
  idempotency: Idempotency | null,
  trace: TraceContext | null,
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
    headers: withTraceContext(headersOf(sent), trace),
    deliverAt: deliverAtOf(sent),
    body: Buffer.from(raw ? data : `${head}${data}}`),
    // The head has only ASCII, since an event type has, so its length is in bytes.
    dataStart: head.length,
    idempotency,
  };
}

/** @throws Problem (400) naming a header that cannot be sent. */
function headersOf({ headers, field }: Pick<SentWebhook, 'headers'> & { readonly field: string }) {
  if (headers === undefined) return null;
  try {
    return webhookHeaders(headers);
  } catch (error) {
    if (error instanceof PolicyError) throw invalidField(`${field}.${error.field}`, error.message);
    throw error;
  }
}

/** @throws Problem (400) for a time that is too far ahead. */
function deliverAtOf({
  deliver_at,
  field,
}: Pick<SentWebhook, 'deliver_at'> & { readonly field: string }): Date | null {
  if (deliver_at === undefined) return null;
  const deliverAt = new Date(deliver_at);
  const aheadMs = deliverAt.getTime() - Date.now();
  if (aheadMs > MAX_AHEAD_MS)
    throw invalidField(
      `${field}.deliver_at`,
      'is more than 30 days ahead; give a time in the next 30 days, or send the webhook later',
    );
  return aheadMs > 0 ? deliverAt : null;
}

function answerOf({ id, deliveries }: AcceptedWebhook) {
  return { status: 'accepted' as const, webhook_id: id, deliveries };
}
