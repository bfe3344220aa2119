import { Type } from 'typebox';
import type { To } from '../links.ts';
import {
  ATTEMPT_STATUSES,
  DELIVERY_STATES,
  DeliveryReason,
  named,
  nullable,
  oneOf,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from './common.ts';

/** How a delivery is named in URLs: the webhook's id, a dot, the subscription's. */
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
  subscription_url: Type.String(),
  event_type: nullable(Type.String()),
  state: oneOf(DELIVERY_STATES),
  reason: DeliveryReason,
  attempts_made: Type.Integer(),
  next_attempt_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  body_expired: Type.Boolean({
    description:
      'Whether the body is gone, as its retention is over: then nothing can be sent again.',
  }),
  links: Type.Object({
    webhook: Link,
    subscription: Link,
    attempts: Link,
    retry: Type.String({ format: 'uri-reference', description: 'To POST to.' }),
  }),
};

export const Delivery = named('Delivery', DeliveryFields);

export const Attempt = named('Attempt', {
  id: Type.Integer(),
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  event_type: nullable(Type.String()),
  attempt_number: nullable(
    Type.Integer({ description: 'Null for an extra attempt by a worker that had lost its claim.' }),
  ),
  status: oneOf(ATTEMPT_STATUSES),
  response_code: nullable(Type.Integer()),
  error_code: nullable(
    Type.String({ description: 'A word for programs, such as timeout_connect.' }),
  ),
  error: nullable(Type.String({ description: 'A sentence for people.' })),
  duration_ms: Type.Integer(),
  timestamp: Type.String({ format: 'date-time', description: 'When the attempt ended.' }),
  links: Type.Object({
    webhook: Link,
    subscription: Link,
    delivery: Link,
    retry: Type.String({ format: 'uri-reference', description: 'To POST to.' }),
  }),
});

export const WebhookRow = named('Webhook', {
  webhook_id: WebhookId,
  accepted_at: Timestamp,
  event_type: nullable(Type.String()),
  content_type: Type.String(),
  bytes: nullable(Type.Integer({ description: 'Of the body; null once it is gone.' })),
  body_expired: Type.Boolean(),
  links: Type.Object({ webhook: Link, deliveries: Link, attempts: Link }),
});

/** Said of every list that may read many rows which do not fit. */
export const SCANNED_PAGES =
  'What no index answers is looked for among so many rows a page: a page may then have fewer rows than `limit`, even none, and still a next one. Follow next_cursor until it is null.';

export interface Named {
  readonly webhook_id: string;
  readonly subscription_id: number;
}

/** A delivery's id, as URLs have it. */
export function deliveryIdOf({ webhook_id, subscription_id }: Named): string {
  return `${webhook_id}.${subscription_id}`;
}

/** The names in a delivery's id, which fits `DeliveryId`. */
export function readDeliveryId(id: string): { webhookId: string; subscriptionId: number } {
  const [webhookId = '', subscriptionId = ''] = id.split('.');
  return { webhookId, subscriptionId: Number(subscriptionId) };
}

/** A delivery with its id and where to ask on. */
export function linkDelivery<T extends Named>(delivery: T, to: To) {
  const id = deliveryIdOf(delivery);
  const { webhook_id, subscription_id } = delivery;
  return {
    id,
    ...delivery,
    links: {
      webhook: to(`/v1/webhooks/${webhook_id}`),
      subscription: to(`/v1/subscriptions/${subscription_id}`),
      attempts: to(`/v1/attempts?webhook_id=${webhook_id}&subscription_id=${subscription_id}`),
      retry: to(`/v1/deliveries/${id}/retry`),
    },
  };
}

/** An attempt with where to ask on. */
export function linkAttempt<T extends Named>(attempt: T, to: To) {
  const id = deliveryIdOf(attempt);
  return {
    ...attempt,
    links: {
      webhook: to(`/v1/webhooks/${attempt.webhook_id}`),
      subscription: to(`/v1/subscriptions/${attempt.subscription_id}`),
      delivery: to(`/v1/deliveries/${id}`),
      retry: to(`/v1/deliveries/${id}/retry`),
    },
  };
}

/** A webhook with where to ask on. */
export function linkWebhook<T extends Pick<Named, 'webhook_id'>>(webhook: T, to: To) {
  return {
    ...webhook,
    links: {
      webhook: to(`/v1/webhooks/${webhook.webhook_id}`),
      deliveries: to(`/v1/deliveries?webhook_id=${webhook.webhook_id}`),
      attempts: to(`/v1/attempts?webhook_id=${webhook.webhook_id}`),
    },
  };
}
