import { type Static, type TInteger, type TObject, type TOptional, Type } from 'typebox';
import {
  ATTEMPT_STATUSES,
  DELIVERY_STATES,
  DeliveryReason,
  named,
  nullable,
  oneOf,
  RequestTimestamp,
  SubscriptionId,
  Timestamp,
  toDate,
  WebhookId,
} from './common.ts';

/** The id of a delivery in URLs: the webhook's id, a dot, the subscription's id. */
export const DELIVERY_ID = '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.[1-9][0-9]{0,9}$';

export const DeliveryId = Type.String({
  pattern: DELIVERY_ID,
  description: "The webhook's id, a dot, and the subscription's id.",
  examples: ['01890a5d-ac96-774b-bcce-b302099a8057.1'],
});

const Link = Type.String({ format: 'uri-reference' });

const DeliveryFields = {
  id: DeliveryId,
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  subscription_url: nullable(
    Type.String({ description: 'Null: the receiver of the subscription pulls its webhooks.' }),
  ),
  event_type: nullable(Type.String()),
  state: oneOf(DELIVERY_STATES),
  reason: DeliveryReason,
  attempts_made: Type.Integer(),
  next_attempt_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  body_expired: Type.Boolean({
    description:
      'Whether the body is deleted because its retention is over. The webhook can then not be sent again.',
  }),
  links: Type.Object({
    webhook: Link,
    subscription: Link,
    attempts: Link,
    retry: Type.String({
      format: 'uri-reference',
      description: 'POST to this URL to send the delivery again.',
    }),
    cancel: Type.String({
      format: 'uri-reference',
      description: 'POST to this URL to cancel the delivery.',
    }),
  }),
};

export const Delivery = named('Delivery', DeliveryFields);

/** The filters that every list of attempts has. */
export const ATTEMPT_FILTERS = {
  subscription_id: Type.Optional(SubscriptionId),
  webhook_id: Type.Optional(WebhookId),
  status: Type.Optional(oneOf(ATTEMPT_STATUSES, 'How the attempt ended.')),
  since: Type.Optional({
    ...RequestTimestamp,
    description: 'Only attempts that ended at or after this time.',
  }),
  until: Type.Optional({
    ...RequestTimestamp,
    description: 'Only attempts that ended before this time.',
  }),
};

/** Filters by what came of an attempt. */
export const CODE_FILTERS = {
  response_code: Type.Optional(
    Type.Integer({
      minimum: 100,
      maximum: 999,
      description: 'The HTTP status code that the receiver answered with.',
      examples: [500],
    }),
  ),
  error_code: Type.Optional(
    Type.String({
      maxLength: 50,
      pattern: '^[a-z0-9_]+$',
      description: 'The code of the error that the attempt failed with.',
      examples: ['timeout_connect'],
    }),
  ),
};

/** Returns the filters of a request as `listAttempts` takes them. */
export function attemptFilterOf(filters: Static<TObject<typeof ATTEMPT_FILTERS>>) {
  return {
    subscriptionId: filters.subscription_id,
    webhookId: filters.webhook_id,
    status: filters.status,
    since: toDate(filters.since),
    until: toDate(filters.until),
  };
}

const Milliseconds = nullable(Type.Integer({ minimum: 0 }));

/** How an attempt was made and what came back: fields of attempts where they are looked at by themselves. */
export const ATTEMPT_DETAILS = {
  response_excerpt: nullable(
    Type.String({
      description:
        'The first KiB of the answer. Null: there was no body, or it is deleted together with the body of the webhook.',
    }),
  ),
  timing_ms: Type.Object(
    {
      connection: nullable(
        oneOf(
          ['new', 'reused'],
          'reused: the request went over a connection that was kept from an earlier one, so it has no dns, connect and tls. Null: there was no connection.',
        ),
      ),
      dns: Milliseconds,
      connect: Milliseconds,
      tls: Milliseconds,
      first_byte: Milliseconds,
      body: Milliseconds,
    },
    {
      description:
        'How long each phase took, in whole milliseconds, which add up to duration_ms. Null: the phase was not needed or not reached. The phase in which the attempt ended has the time until then. first_byte is the time from the open connection to the head of the answer. Through an egress proxy, connect includes all steps of connecting. dns, connect and tls are at most 32767; body is null if one of them may have been longer.',
    },
  ),
  webhook_timestamp: nullable(
    Type.Integer({
      description:
        'The header `webhook-timestamp` that was sent, in seconds since 1970, by the clock of the worker. Null: no request was sent.',
    }),
  ),
};

export const Attempt = named('Attempt', {
  id: Type.Integer(),
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  event_type: nullable(Type.String()),
  attempt_number: nullable(
    Type.Integer({
      description:
        'The number of the attempt, from 1. Null: a duplicate attempt, which another worker had finished first.',
    }),
  ),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(
    Type.String({ description: 'The error as a code for programs, such as timeout_connect.' }),
  ),
  error: nullable(Type.String({ description: 'The error as a sentence for people.' })),
  duration_ms: Type.Integer(),
  timestamp: { ...Timestamp, description: 'When the attempt ended.' },
  links: Type.Object({
    webhook: Link,
    subscription: Link,
    delivery: Link,
    retry: Type.String({
      format: 'uri-reference',
      description: 'POST to this URL to send the delivery again.',
    }),
  }),
});

export const ListedAttempt = named('ListedAttempt', {
  ...Attempt.properties,
  ...ATTEMPT_DETAILS,
});

export const WebhookRow = named('Webhook', {
  webhook_id: WebhookId,
  accepted_at: Timestamp,
  deliver_at: nullable({
    ...Timestamp,
    description: 'When it was to be delivered. Null: at once.',
  }),
  event_type: nullable(Type.String()),
  content_type: Type.String(),
  bytes: nullable(
    Type.Integer({ description: 'The size of the body. Null: the body is deleted.' }),
  ),
  body_expired: Type.Boolean(),
  links: Type.Object({ webhook: Link, deliveries: Link, attempts: Link }),
});

/** A row of the list of webhooks. */
export const ListedWebhook = named('ListedWebhook', {
  ...WebhookRow.properties,
  deliveries: Type.Optional(
    Type.Object(
      Object.fromEntries(
        DELIVERY_STATES.map((state) => [state, Type.Optional(Type.Integer())]),
      ) as Record<(typeof DELIVERY_STATES)[number], TOptional<TInteger>>,
      {
        description:
          'Only with `include=deliveries`: how many of its deliveries are in each state, counted up to 1,000. A state without deliveries is left out.',
      },
    ),
  ),
});

/** The description of lists that may read many rows which do not match. */
export const SCANNED_PAGES =
  'If no index fits the filters, the list searches a limited number of rows for each page. A page may then have fewer rows than `limit`, even none, although there are more pages. Follow next_cursor until it is null.';

/** Splits the id of a delivery, which must match `DELIVERY_ID`. */
export function splitDeliveryId(id: string): { webhookId: string; subscriptionId: number } {
  const [webhookId = '', subscriptionId = ''] = id.split('.');
  return { webhookId, subscriptionId: Number(subscriptionId) };
}
