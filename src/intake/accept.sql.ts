import type pg from 'pg';
import { plainArray, textArray } from '../db/arrays.ts';
import { queryToKnow } from '../db/outcome.ts';

/** One webhook on its way into the database. */
export interface IncomingWebhook {
  /** To this subscription alone; null: to all of the tenant that want the event type. */
  readonly subscriptionId: number | null;
  readonly tenant: string;
  readonly eventType: string | null;
  readonly channels: readonly string[] | null;
  /** Of those to a subscription with strict order, the webhooks of one key wait for each other. */
  readonly orderingKey: string | null;
  readonly contentType: string;
  /** The body exactly as it is to be delivered. */
  readonly body: Buffer;
}

/** A webhook that is committed. */
export interface AcceptedWebhook {
  readonly id: string;
  /** To how many subscriptions it goes. */
  readonly deliveries: number;
}

/**
 * Commits webhooks, what is owed for them and their jobs in one transaction: one call of
 * `posthorn.accept` (migrations/0004_policies.sql), which is where fan-out and enqueueing live.
 *
 * The bodies travel as one binary parameter with their places. Tried and left: a bytea[] (sent as
 * text, escaped, twice the size) and a row of parameters for each webhook (a statement to parse
 * for every group size).
 *
 * @returns the webhooks in their order; null where the subscription does not exist.
 * @throws OutcomeUnknownError when they may have been committed; after any other error they were not.
 */
export async function acceptWebhooks(
  pool: pg.Pool,
  webhooks: readonly IncomingWebhook[],
): Promise<(AcceptedWebhook | null)[]> {
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 0;
  for (const { body } of webhooks) {
    starts.push(start);
    lengths.push(body.length);
    start += body.length;
  }
  const { rows } = await queryToKnow<{ ids: (string | null)[]; deliveries: number[] }>(pool, {
    name: 'accept',
    text: 'select ids::text[], deliveries from posthorn.accept($1, $2, $3, $4, $5, $6, $7, $8, $9)',
    values: [
      webhooks.length === 1 ? webhooks[0]?.body : Buffer.concat(webhooks.map(({ body }) => body)),
      plainArray(starts),
      plainArray(lengths),
      textArray(webhooks.map(({ contentType }) => contentType)),
      plainArray(webhooks.map(({ subscriptionId }) => subscriptionId)),
      textArray(webhooks.map(({ tenant }) => tenant)),
      textArray(webhooks.map(({ eventType }) => eventType)),
      textArray(webhooks.map(({ channels }) => (channels === null ? null : textArray(channels)))),
      textArray(webhooks.map(({ orderingKey }) => orderingKey)),
    ],
  });
  const { ids, deliveries } = rows[0] as { ids: (string | null)[]; deliveries: number[] };
  return ids.map((id, index) =>
    id === null ? null : { id, deliveries: deliveries[index] as number },
  );
}
