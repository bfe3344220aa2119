import { Type } from 'typebox';
import { TASK_KINDS, TASK_STATES, type Task as TaskRow } from '../../bulk-operations/store.ts';
import type { To } from '../links.ts';
import {
  DELIVERY_STATES,
  EventTypePattern,
  named,
  nullable,
  oneOf,
  SubscriptionId,
  Timestamp,
} from './common.ts';

export const TaskId = Type.String({
  format: 'uuid',
  description: 'The id of a task.',
  examples: ['01890a5d-ac96-774b-bcce-b302099a8057'],
});

const Link = Type.String({ format: 'uri-reference' });
/** What a task may do again, and what it may cancel. */
export const ENDED_STATES = ['succeeded', 'failed', 'cancelled'] as const;
export const OWED_STATES = ['pending', 'held'] as const;
export const DEFAULT_RATE = 100;

export const Task = named('Task', {
  id: TaskId,
  kind: oneOf(TASK_KINDS, 'delete: it cancels what was owed to a deleted subscription.'),
  state: oneOf(TASK_STATES),
  subscription_id: nullable(SubscriptionId),
  since: nullable(Timestamp),
  until: nullable(Timestamp),
  states: Type.Array(oneOf(DELIVERY_STATES)),
  event_types: nullable(Type.Array(Type.String())),
  rate: nullable(Type.Integer({ description: 'Deliveries a second at the most.' })),
  examined: Type.Integer({ description: 'Deliveries that were looked at so far.' }),
  changed: Type.Integer({ description: 'Those of them that are owed again, or were cancelled.' }),
  progress: nullable(
    Type.Number({
      description: 'From 0 to 1. Null where it is not known before the end.',
      minimum: 0,
      maximum: 1,
    }),
  ),
  error: nullable(Type.String({ description: 'Why it failed.' })),
  created_at: Timestamp,
  started_at: nullable(Timestamp),
  ended_at: nullable(Timestamp),
  links: Type.Object({
    self: Link,
    cancel: Type.String({ format: 'uri-reference', description: 'To POST to.' }),
  }),
});

const Since = { ...Timestamp, description: 'Of webhooks accepted at or after this.' };
const Until = { ...Timestamp, description: 'Of webhooks accepted before this. Left out: now.' };
const EventTypes = Type.Array(EventTypePattern, {
  minItems: 1,
  maxItems: 100,
  description: 'Of these types: exact, prefixes such as `order.*`, or `*`. Left out: of all.',
});
const Rate = Type.Integer({
  minimum: 1,
  maximum: 10_000,
  default: DEFAULT_RATE,
  description: 'Deliveries a second at the most, so that the receiver is not overrun.',
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
        description: 'Deliveries in these states. Left out: failed and cancelled.',
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
        description: 'Left out: both.',
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

/** A task with where to ask on. */
export function linkTask(task: TaskRow, to: To) {
  const self = `/v1/tasks/${task.id}`;
  return { ...task, links: { self: to(self), cancel: to(`${self}/cancel`) } };
}
