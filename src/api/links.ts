import type { FastifyRequest } from 'fastify';

/** Makes a path a link for an answer. */
export type To = (path: string) => string;

/** Makes links that name the request's tenant if the request did: without it they would lead to another. */
export function linksOf(request: FastifyRequest): To {
  const { tenant } = (request.query ?? {}) as { tenant?: string };
  if (tenant === undefined) return (path) => path;
  return (path) => `${path}${path.includes('?') ? '&' : '?'}tenant=${encodeURIComponent(tenant)}`;
}

interface DeliveryIds {
  readonly webhook_id: string;
  readonly subscription_id: number;
}

/** Returns the id of a delivery, as URLs have it. */
function deliveryIdOf({ webhook_id, subscription_id }: DeliveryIds): string {
  return `${webhook_id}.${subscription_id}`;
}

/** Adds its id and links to a delivery. */
export function linkDelivery<T extends DeliveryIds>(delivery: T, to: To) {
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
      cancel: to(`/v1/deliveries/${id}/cancel`),
    },
  };
}

/** Adds links to an attempt. */
export function linkAttempt<T extends DeliveryIds>(attempt: T, to: To) {
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

/** Adds links to a webhook. */
export function linkWebhook<T extends Pick<DeliveryIds, 'webhook_id'>>(webhook: T, to: To) {
  return {
    ...webhook,
    links: {
      webhook: to(`/v1/webhooks/${webhook.webhook_id}`),
      deliveries: to(`/v1/deliveries?webhook_id=${webhook.webhook_id}`),
      attempts: to(`/v1/attempts?webhook_id=${webhook.webhook_id}`),
    },
  };
}
