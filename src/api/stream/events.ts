import type { DeliveryState } from '../../db/types.ts';
import { msOfId } from '../../db/uuidv7.ts';
import type { Changes } from '../../history/changes.sql.ts';
import { type Position, writePosition } from '../../history/position.ts';
import { linkAttempt, linkDelivery, linkWebhook, type To } from '../links.ts';

/** The name of the event that shows a delivery in a state. */
const NAME_OF_STATE = {
  pending: 'pending',
  held: 'held',
  succeeded: 'delivered',
  failed: 'failed',
  cancelled: 'cancelled',
} as const satisfies Record<DeliveryState, string>;

export const EVENT_NAMES = ['accepted', 'attempt', ...Object.values(NAME_OF_STATE)] as const;

/** The events that a client wants; undefined: all. */
export interface EventFilter {
  readonly tenant: string;
  readonly subscriptionId: number | undefined;
  readonly eventType: string | undefined;
  readonly state: DeliveryState | undefined;
}

/** Something that happened, once for all clients that it is sent to. */
export interface StreamEvent {
  readonly name: (typeof EVENT_NAMES)[number];
  readonly tenant: string;
  readonly eventType: string | null;
  /** The subscription that it is about; null: a webhook was accepted, for any. */
  readonly subscriptionId: number | null;
  /** True: it is only for clients that ask for the subscription. Others get the same event once for the webhook. */
  readonly onlyForSubscription: boolean;
  readonly state: DeliveryState | null;
  /** When it happened, in microseconds since 1970. */
  readonly at: number;
  /** Where a reader is that has got it, and all events before it. */
  readonly position: Position;
  /** Returns its data as in the answers of the REST routes. */
  readonly data: (to: To) => object;
}

export function isWanted(event: StreamEvent, filter: EventFilter): boolean {
  const { tenant, subscriptionId, eventType, state } = filter;
  return (
    event.tenant === tenant &&
    (subscriptionId === undefined
      ? !event.onlyForSubscription
      : event.subscriptionId === subscriptionId) &&
    (eventType === undefined || event.eventType === eventType) &&
    (state === undefined || event.state === state)
  );
}

/** Returns what changes mean, the oldest first. */
export function eventsOf(changes: Changes, from: Position): StreamEvent[] {
  const events = [
    ...changes.webhooks.map(acceptedEvent),
    ...changes.deliveries.flatMap((row) => deliveryEvents(row, from)),
    ...changes.attempts.flatMap((row) => attemptEvents(row, from)),
  ];
  events.sort((a, b) => a.at - b.at);
  let position = from;
  return events.map(({ step, ...event }) => {
    position = { ...position, ...step };
    return { ...event, position };
  });
}

/** An event, and what it changes in the position of its reader. */
type Step = Omit<StreamEvent, 'position'> & { readonly step: Partial<Position> };

function acceptedEvent({ tenant, ...webhook }: Changes['webhooks'][number]): Step {
  return {
    name: 'accepted',
    tenant,
    eventType: webhook.event_type,
    subscriptionId: null,
    onlyForSubscription: false,
    state: null,
    at: msOfId(webhook.webhook_id) * 1000,
    step: { webhook: webhook.webhook_id },
    data: (to) => linkWebhook(webhook, to),
  };
}

/** For clients that ask for its subscription, a new delivery also tells that its webhook was accepted. */
function deliveryEvents(row: Changes['deliveries'][number], from: Position): Step[] {
  const { tenant, accepted_at, deliver_at, content_type, bytes, ...delivery } = row;
  const { webhook_id, subscription_id, event_type, body_expired, state } = delivery;
  const about = {
    tenant,
    eventType: event_type,
    subscriptionId: subscription_id,
    at: msOfId(webhook_id) * 1000,
  };
  const step = { deliveryOf: webhook_id, deliveryTo: subscription_id };
  const accepted: Step = {
    ...about,
    name: 'accepted',
    onlyForSubscription: true,
    state: null,
    step: { ...step, deliveryOpen: delivery.attempts_made === 0 },
    data: (to) =>
      linkWebhook(
        { webhook_id, accepted_at, deliver_at, event_type, content_type, bytes, body_expired },
        to,
      ),
  };
  // The reader got the first of the two events, when the delivery may have had no attempt yet.
  const isOpen =
    from.deliveryOpen && from.deliveryOf === webhook_id && from.deliveryTo === subscription_id;
  if (delivery.attempts_made > 0) return isOpen ? [] : [accepted];
  const shown: Step = {
    ...about,
    name: NAME_OF_STATE[state],
    onlyForSubscription: false,
    state,
    step: { ...step, deliveryOpen: false },
    data: (to) => linkDelivery(delivery, to),
  };
  return isOpen ? [shown] : [accepted, shown];
}

/** The last attempt of a delivery also tells what became of the delivery. */
function attemptEvents(row: Changes['attempts'][number], from: Position): Step[] {
  const { tenant, at_us: at, subscription_url, state, reason, attempts_made, ...rest } = row;
  const { next_attempt_at, ended_at, body_expired, ...attempt } = rest;
  const { webhook_id, subscription_id, event_type } = attempt;
  const about = {
    tenant,
    eventType: event_type,
    subscriptionId: subscription_id,
    onlyForSubscription: false,
    at,
  };
  const step = { attemptAt: at, attempt: String(attempt.id) };
  const isLast = attempt.attempt_number === attempts_made;
  const made: Step = {
    ...about,
    name: 'attempt',
    state: null,
    step: { ...step, attemptOpen: isLast },
    data: (to) => linkAttempt(attempt, to),
  };
  // The reader got the first of the two events, when this may have been the last attempt.
  const isOpen = from.attemptOpen && from.attemptAt === at && from.attempt === step.attempt;
  if (!isLast) return isOpen ? [] : [made];
  const shown: Step = {
    ...about,
    name: NAME_OF_STATE[state],
    state,
    step: { ...step, attemptOpen: false },
    data: (to) =>
      linkDelivery(
        {
          webhook_id,
          subscription_id,
          subscription_url,
          event_type,
          state,
          reason,
          attempts_made,
          next_attempt_at,
          ended_at,
          body_expired,
        },
        to,
      ),
  };
  return isOpen ? [shown] : [made, shown];
}

/**
 * Writes an event in the format of server-sent events (WHATWG HTML, 9.2). A client that reconnects sends the last id,
 * and gets what followed.
 */
export function writeEvent(event: StreamEvent, to: To): string {
  return `event: ${event.name}\nid: ${writePosition(event.position)}\ndata: ${JSON.stringify(event.data(to))}\n\n`;
}
