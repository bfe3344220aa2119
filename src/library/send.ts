/** What `send` uses of a connection: that of a `Client`, a `PoolClient` or a `Pool` of node-postgres. */
export interface SqlClient {
  query(text: string, values: unknown[]): Promise<{ rows: { id?: unknown }[] }>;
}

/** Any event types, with any data: for applications that do not list theirs. */
export type AnyEvents = Record<string, unknown>;

interface Options {
  /** The tenant whose subscriptions get it. Default: `default`. */
  readonly tenant?: string;
  /** Only subscriptions with one of these channels, or without channels, get it. */
  readonly channels?: readonly string[];
  /** With strict ordering, webhooks with the same key wait for each other. */
  readonly orderingKey?: string;
  /** A second webhook with the same key is not sent again. */
  readonly idempotencyKey?: string;
  /** Sends to this subscription only. */
  readonly subscriptionId?: number;
  /** The time before which it is not delivered. */
  readonly deliverAt?: Date;
  /** Sent with the webhook, beside the subscription's own. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A webhook to send. `Events` has the type of the data by the name of the event type. */
export type Webhook<Events extends object = AnyEvents> = {
  [Name in keyof Events & string]: Options & {
    readonly eventType: Name;
    readonly data: Events[Name];
  };
}[keyof Events & string];

const SEND = `select posthorn.send($1::text, $2::jsonb, tenant => $3::text, channels => $4::text[],
  ordering_key => $5::text, idempotency_key => $6::text, subscription_id => $7::integer,
  deliver_at => $8::timestamptz, headers => $9::jsonb) as id`;

/**
 * Sends a webhook in the transaction of the client: it is sent if the transaction commits, and never if that rolls
 * back. It calls `posthorn.send` (docs/sending-from-sql.md), whose errors it throws.
 *
 * @returns the webhook's id.
 */
export async function send<Events extends object = AnyEvents>(
  client: SqlClient,
  webhook: Webhook<Events>,
): Promise<string> {
  const { eventType, data, tenant, channels, orderingKey, idempotencyKey } = webhook;
  const { subscriptionId, deliverAt, headers } = webhook;
  const { rows } = await client.query(SEND, [
    eventType,
    JSON.stringify(data ?? null),
    tenant ?? 'default',
    channels ?? null,
    orderingKey ?? null,
    idempotencyKey ?? null,
    subscriptionId ?? null,
    deliverAt?.toISOString() ?? null,
    headers === undefined ? null : JSON.stringify(headers),
  ]);
  return rows[0]?.id as string;
}
