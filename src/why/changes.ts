import type { Facts } from './facts.sql.ts';

/** A request that a key with the scope `manage` may send. */
export interface ChangeRequest {
  readonly method: 'POST' | 'PATCH';
  readonly path: string;
  /** Null: none is needed. */
  readonly body: Readonly<Record<string, unknown>> | null;
  /** Fields that the body needs beside these, such as `url`, and that only a person knows. */
  readonly input: readonly string[];
}

export const ACTIONS = [
  'wait',
  'start_worker',
  'mend_receiver',
  'enable',
  'resume',
  'pause',
  'retry',
  'replay_since',
  'cancel',
  'edit_url',
  'edit_limits',
  'rotate_secret',
  'pull',
  'send_again',
] as const;

/** Something that would change the state of a delivery. */
export interface Change {
  readonly action: (typeof ACTIONS)[number];
  /** A phrase that says what to do, such as `POST /v1/subscriptions/7/enable`. */
  readonly text: string;
  readonly request: ChangeRequest | null;
  /** The same in SQL; null: there is no function for it. */
  readonly sql: string | null;
}

/** Something that no request does. */
export function advise(action: Change['action'], text: string, sql: string | null = null): Change {
  return { action, text, request: null, sql };
}

function ask(
  action: Change['action'],
  {
    method,
    path,
    body = null,
    input = [],
  }: Partial<ChangeRequest> & Pick<ChangeRequest, 'method' | 'path'>,
  purpose: string,
  sql: string | null = null,
): Change {
  return {
    action,
    text: `${method} ${path} ${purpose}`.trim(),
    request: { method, path, body, input },
    sql,
  };
}

type Ids = Pick<Facts, 'subscriptionId' | 'webhookId'>;

const sqlOf = (name: string, { subscriptionId, webhookId }: Ids) =>
  `select posthorn.${name}('${webhookId}', ${subscriptionId})`;

/** @param purpose what it does, as the end of a sentence: `to send it now`. */
export const retry = (ids: Ids, purpose = 'to send it again') =>
  ask(
    'retry',
    { method: 'POST', path: `/v1/deliveries/${ids.webhookId}.${ids.subscriptionId}/retry` },
    purpose,
    sqlOf('retry', ids),
  );

export const enable = (
  subscriptionId: number,
  purpose = 'to close the circuit and send what is held',
) => ask('enable', { method: 'POST', path: `/v1/subscriptions/${subscriptionId}/enable` }, purpose);

export const resume = ({ subscriptionId }: Ids) =>
  ask(
    'resume',
    { method: 'POST', path: `/v1/subscriptions/${subscriptionId}/resume` },
    'to send what is held',
    `select posthorn.resume(${subscriptionId})`,
  );

export const pause = (subscriptionId: number, purpose: string) =>
  ask(
    'pause',
    { method: 'POST', path: `/v1/subscriptions/${subscriptionId}/pause` },
    purpose,
    `select posthorn.pause(${subscriptionId})`,
  );

export const editUrl = (subscriptionId: number) =>
  ask(
    'edit_url',
    { method: 'PATCH', path: `/v1/subscriptions/${subscriptionId}`, input: ['url'] },
    'with the right `url`',
  );

export const rotateSecret = (subscriptionId: number) =>
  ask(
    'rotate_secret',
    { method: 'POST', path: `/v1/subscriptions/${subscriptionId}/rotate-secret` },
    'and give the new secret to the receiver',
  );

export const editLimit = ({ subscriptionId }: Ids, field: 'rate_limit' | 'max_in_flight') =>
  ask(
    'edit_limits',
    { method: 'PATCH', path: `/v1/subscriptions/${subscriptionId}`, input: [field] },
    `with a higher \`${field}\``,
  );

export const replaySince = (subscriptionId: number, since: Date, purpose: string) =>
  ask(
    'replay_since',
    {
      method: 'POST',
      path: `/v1/subscriptions/${subscriptionId}/recover`,
      body: { since: since.toISOString() },
    },
    purpose,
  );

/** @param purpose what it does, as the end of a sentence: `to cancel it`. */
export const cancel = (ids: Ids, purpose = 'to cancel it') =>
  ask(
    'cancel',
    { method: 'POST', path: `/v1/deliveries/${ids.webhookId}.${ids.subscriptionId}/cancel` },
    purpose,
    sqlOf('cancel', ids),
  );

/** Something that the receiver does: it acknowledges what it pulls. */
export const pull = ({ subscriptionId }: Pick<Ids, 'subscriptionId'>) =>
  advise('pull', `let the receiver pull: GET /v1/subscriptions/${subscriptionId}/pull`);

export const WAIT = advise('wait', 'wait');
export const START_WORKER = advise('start_worker', 'start a worker (`posthorn start`)');
export const MEND_RECEIVER = advise(
  'mend_receiver',
  'mend the receiver: the next probe notices it',
);
