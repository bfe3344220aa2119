import { Type } from 'typebox';
import { ACTIONS } from '../../why/changes.ts';
import { REASONS } from '../../why/reasons.ts';
import {
  ATTEMPT_STATUSES,
  DELIVERY_STATES,
  named,
  nullable,
  oneOf,
  SUBSCRIPTION_STATUSES,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from './common.ts';
import { DeliveryId } from './history.ts';

const ALL_REASONS = [...new Set(Object.values(REASONS).flat())];

/** Something that would change the state of a delivery, or solve a problem. */
export const Change = named('Change', {
  action: oneOf(
    ACTIONS,
    'The kind of change. For wait, start_worker, mend_receiver and send_again, `request` is null: no request to Posthorn does them.',
  ),
  text: Type.String({ description: 'What to do, as a phrase.' }),
  request: nullable(
    Type.Object(
      {
        method: oneOf(['POST', 'PATCH']),
        path: Type.String({ format: 'uri-reference' }),
        body: nullable(
          Type.Unsafe<Readonly<Record<string, unknown>>>({
            type: 'object',
            additionalProperties: true,
            description: 'The body of the request. Null: it needs none, apart from `input`.',
          }),
        ),
        input: Type.Array(Type.String(), {
          description:
            'Fields that the body needs as well, and whose values you choose, such as `url`.',
        }),
      },
      { description: 'The request that does it; it needs a key with the scope manage.' },
    ),
  ),
  sql: nullable(
    Type.String({ description: 'The same in SQL. Null: there is no function for it.' }),
  ),
});

const Circuit = Type.Object(
  {
    state: oneOf(
      ['closed', 'open', 'half_open'],
      'closed: attempts have failed, and deliveries are still sent. open: deliveries are held until next_probe_at. half_open: a probe is due or in flight.',
    ),
    opened_at: nullable(Timestamp),
    next_probe_at: nullable(Timestamp),
    failing_since: Timestamp,
    failures: Type.Integer({ description: 'The least number of failures in a row.' }),
    last_error_code: nullable(Type.String()),
    last_error: nullable(Type.String()),
  },
  { description: 'The failures of its receiver since the last success. Null: it is well.' },
);

const Order = Type.Object(
  {
    key: nullable(
      Type.String({ description: 'Null: it has none. Deliveries without a key share one order.' }),
    ),
    behind: nullable({
      ...DeliveryId,
      description:
        'The delivery of the same key that goes first. Null: none was found, see `complete`.',
    }),
    complete: Type.Boolean({
      description:
        'False: more than 4,000 older deliveries are held, and not all of them were looked through.',
    }),
  },
  { description: 'Only with strict order. Null: the subscription has none.' },
);

export const DeliveryWhy = named('DeliveryWhy', {
  id: DeliveryId,
  webhook_id: WebhookId,
  subscription_id: SubscriptionId,
  event_type: nullable(Type.String()),
  state: oneOf(DELIVERY_STATES),
  reason: oneOf(ALL_REASONS, 'Why it is in this state, for programs. See docs/why.md.'),
  why: Type.String({
    description:
      'Why it is in this state, as a sentence for people; a second one says what would change it. Times are in UTC.',
    examples: [
      'Held: the circuit of subscription 7 is open since 12:03:04 UTC with 10 failures in a row, the last "The receiver answered 503 Service Unavailable"; the next probe is due at 12:04:20 UTC, in 40 s. Mend the receiver: the next probe notices it, or POST /v1/subscriptions/7/enable to close the circuit and send what is held.',
    ],
  }),
  since: nullable({
    ...Timestamp,
    description: 'Since when the reason holds. Null: the database does not know.',
  }),
  read_at: { ...Timestamp, description: "The time of this answer, by the database's clock." },
  accepted_at: Timestamp,
  deliver_at: nullable({
    ...Timestamp,
    description: 'When it was to be delivered (`deliver_at`). Null: at once.',
  }),
  next_attempt_at: nullable({
    ...Timestamp,
    description:
      'When its next attempt is due; it may be held then. Null: it has ended. While the circuit is open, see `circuit.next_probe_at`.',
  }),
  ended_at: nullable(Timestamp),
  expires_at: nullable({
    ...Timestamp,
    description: 'When it expires if the circuit stays open until then. Null: it does not.',
  }),
  attempt: Type.Object(
    {
      number: Type.Integer({ description: 'From 1, over all attempts of the delivery.' }),
      position: Type.Integer({
        description:
          'From 1, in the retry schedule, which a retry or a replay starts again. Failed probes do not count.',
      }),
      of: Type.Integer({ description: 'How many attempts the retry schedule has.' }),
    },
    { description: 'The next attempt. If the delivery has ended: the last one.' },
  ),
  last_attempt: nullable(
    Type.Object({
      number: Type.Integer(),
      at: Timestamp,
      status: oneOf(ATTEMPT_STATUSES),
      response_code: nullable(Type.Integer()),
      error_code: nullable(Type.String()),
      error: nullable(Type.String()),
      duration_ms: Type.Integer(),
    }),
  ),
  subscription: Type.Object({
    status: oneOf(SUBSCRIPTION_STATUSES),
    status_reason: nullable(Type.String()),
    status_changed_at: nullable(Timestamp),
    deleted_at: nullable(Timestamp),
  }),
  circuit: nullable(Circuit),
  order: nullable(Order),
  rate_limit: nullable(
    Type.Object({ limit: Type.Integer(), per: Type.String({ examples: ['1s'] }) }),
  ),
  max_in_flight: nullable(Type.Integer()),
  in_flight: Type.Integer({
    description:
      'Open requests to the receiver, of all workers together; the figure is at most five seconds old.',
  }),
  ahead: nullable(
    Type.Integer({
      description:
        'How many older deliveries of the subscription are held, counted up to 10,000. Null: it is not held.',
    }),
  ),
  ahead_more: Type.Boolean({ description: 'Whether there are more than `ahead` says.' }),
  worker: nullable(
    Type.Object(
      {
        id: Type.Integer(),
        alive: Type.Boolean(),
      },
      {
        description:
          'The worker that has had the delivery in memory since it was accepted. Null: none, or only the queue knows.',
      },
    ),
  ),
  workers: Type.Object(
    {
      queue: Type.Integer({ description: 'Living workers that take jobs from the queue.' }),
      backlogs: Type.Integer({ description: 'Living workers that send held deliveries.' }),
    },
    { description: 'With 0, nothing is sent.' },
  ),
  change: Type.Array(Change, {
    description: 'Actions that would change the state, the best first.',
  }),
});
