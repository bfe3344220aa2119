import { Type } from 'typebox';
import { TASK_KINDS, TASK_STATES, type Task as TaskRow } from '../../bulk-operations/store.ts';
import type { To } from '../links.ts';
import {
  DELIVERY_STATES,
  EventTypePattern,
  named,
  nullable,
  oneOf,
  RequestTimestamp,
  SubscriptionId,
  Timestamp,
} from './common.ts';

export const TaskId = Type.String({
  format: 'uuid',
  description: 'The id of a task.',
  examples: ['01890a5d-ac96-774b-bcce-b302099a8057'],
});

const Link = Type.String({ format: 'uri-reference' });
/** The states of deliveries that a task may send again, and of those that it may cancel. */
const ENDED_STATES = ['succeeded', 'failed', 'cancelled'] as const;
const OWED_STATES = ['pending', 'held'] as const;
export const DEFAULT_RATE = 100;

export const Task = named('Task', {
  id: TaskId,
  kind: oneOf(
    TASK_KINDS,
    'replay and recover: send deliveries again. cancel: cancel pending and held deliveries. delete: cancel those of a deleted subscription.',
  ),
  state: oneOf(TASK_STATES),
  subscription_id: nullable(SubscriptionId),
  since: nullable(Timestamp),
  until: nullable(Timestamp),
  states: Type.Array(oneOf(DELIVERY_STATES)),
  event_types: nullable(Type.Array(Type.String())),
  rate: nullable(Type.Integer({ description: 'The most deliveries a second.' })),
  examined: Type.Integer({
    description: 'The number of deliveries that the task has examined so far.',
  }),
  changed: Type.Integer({
    description: 'The number of deliveries that the task has made pending again, or has cancelled.',
  }),
  progress: nullable(
    Type.Number({
      description: 'The progress, from 0 to 1. Null: it is not known before the end.',
      minimum: 0,
      maximum: 1,
    }),
  ),
  error: nullable(Type.String({ description: 'Why the task failed. Null: it did not fail.' })),
  created_at: Timestamp,
  started_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  links: Type.Object({
    self: Link,
    cancel: Type.String({
      format: 'uri-reference',
      description: 'POST to this URL to cancel the task.',
    }),
  }),
});

const Since = {
  ...RequestTimestamp,
  description: 'Only deliveries of webhooks accepted at or after this time.',
};
const Until = {
  ...RequestTimestamp,
  description: 'Only deliveries of webhooks accepted before this time. Left out: now.',
};
const EventTypes = Type.Array(EventTypePattern, {
  minItems: 1,
  maxItems: 100,
  description:
    'Only deliveries of these event types: exact types, prefixes such as `order.*`, or `*`. Left out: all types.',
});
const Rate = Type.Integer({
  minimum: 1,
  maximum: 10_000,
  default: DEFAULT_RATE,
  description:
    'The most deliveries to send again in a second, so that the receiver is not overloaded.',
});

export const ReplayFilter = Type.Object(
  {
    since: Since,
    until: Type.Optional(Until),
    states: Type.Optional(
      Type.Array(oneOf(ENDED_STATES), {
        minItems: 1,
        maxItems: ENDED_STATES.length,
        uniqueItems: true,
        description: 'Only deliveries in these states. Left out: failed and cancelled.',
      }),
    ),
    event_types: Type.Optional(EventTypes),
    rate: Type.Optional(Rate),
  },
  {
    additionalProperties: false,
    examples: [{ since: '2026-01-31T12:00:00Z', event_types: ['order.*'] }],
  },
);

export const RecoverFilter = Type.Object(
  { since: Since, until: Type.Optional(Until), rate: Type.Optional(Rate) },
  { additionalProperties: false, examples: [{ since: '2026-01-31T12:00:00Z' }] },
);

export const CancelFilter = Type.Object(
  {
    subscription_id: Type.Optional(SubscriptionId),
    event_types: Type.Optional(EventTypes),
    states: Type.Optional(
      Type.Array(oneOf(OWED_STATES), {
        minItems: 1,
        maxItems: OWED_STATES.length,
        uniqueItems: true,
        description: 'Only deliveries in these states. Left out: both.',
      }),
    ),
    since: Type.Optional(Since),
    until: Type.Optional(Until),
  },
  {
    additionalProperties: false,
    examples: [{ subscription_id: 1, until: '2026-01-31T12:00:00Z' }],
  },
);

/** Adds links to a task. */
export function linkTask(task: TaskRow, to: To) {
  const self = `/v1/tasks/${task.id}`;
  return { ...task, links: { self: to(self), cancel: to(`${self}/cancel`) } };
}
