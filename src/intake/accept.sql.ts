import type pg from 'pg';
import { bytesArray, plainArray, textArray } from '../db/arrays.ts';
import { oneAfterAnother } from '../db/big-messages.ts';
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
  /**
   * Where in the body the data that filters look at begin. 0: it is all data; otherwise it is an
   * envelope, which ends one byte after them.
   */
  readonly dataStart: number;
  /** Under which the request was sent, if any. Webhooks of one call that share one are one request. */
  readonly idempotency: Idempotency | null;
}

/** What makes a request the same one again. */
export interface Idempotency {
  readonly key: string;
  /** SHA-256 of the request: what the key may not be used for again is any other. */
  readonly fingerprint: Buffer;
}

/** A webhook that is committed. */
export interface AcceptedWebhook {
  readonly id: string;
  /** To how many subscriptions it goes. */
  readonly deliveries: number;
  /** It was accepted earlier, under the same idempotency key. */
  readonly replayed: boolean;
}

/**
 * Why a webhook was not accepted. Under its idempotency key another request is under way
 * (`in_flight`) or was made (`reused`); or its subscriptions' filters would take too long.
 */
export type Refusal = 'in_flight' | 'reused' | 'filters_cost';

/**
 * Nothing was accepted: its tenant's filters and fan-out take too long for a statement that others
 * share. It is to be accepted in one of its tenant's own.
 */
export type Apart = 'apart';

export interface AcceptOptions {
  /** Whether they are among so many of their sender that others go before them. */
  readonly bulk: boolean;
  /** Whether all are of one tenant, and no other tenant waits for them. */
  readonly apart: boolean;
  /** Whether one that is refused for its filters is an error, SQLSTATE 54000. Never `apart` then. */
  readonly allOrNone?: boolean;
}

/**
 * Commits webhooks, what is owed for them and their jobs in one transaction: one call of `posthorn.accept`
 * (schema/functions/accept.sql, and accept_general.sql behind it), which is where fan-out, filtering,
 * idempotency and enqueueing live.
 *
 * The bodies travel as one binary parameter with their places. Tried and left: a bytea[] (sent as
 * text, escaped, twice the size) and a row of parameters for each webhook (a statement to parse
 * for every group size). What nobody in the group has is null, which costs nothing.
 *
 * @returns the webhooks in their order; null where the subscription does not exist.
 * @throws OutcomeUnknownError when they may have been committed; after any other error they were not.
 */
export async function acceptWebhooks(
  pool: pg.Pool,
  webhooks: readonly IncomingWebhook[],
  { bulk, apart, allOrNone = false }: AcceptOptions,
): Promise<(AcceptedWebhook | Refusal | Apart | null)[]> {
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 0;
  for (const { body } of webhooks) {
    starts.push(start);
    lengths.push(body.length);
    start += body.length;
  }
  const { rows } = await queryToKnow<Answer>(pool, {
    name: 'accept',
    text: `select ids::text[], deliveries, outcomes
      from set_config('posthorn.bulk', $14, true), posthorn.accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15)`,
    values: [
      oneAfterAnother(webhooks.map(({ body }) => body)),
      plainArray(starts),
      plainArray(lengths),
      textArray(webhooks.map(({ contentType }) => contentType)),
      plainArray(webhooks.map(({ subscriptionId }) => subscriptionId)),
      textArray(webhooks.map(({ tenant }) => tenant)),
      textArray(webhooks.map(({ eventType }) => eventType)),
      unlessAllNull(
        webhooks.map(({ channels }) => (channels === null ? null : textArray(channels))),
        textArray,
      ),
      unlessAllNull(
        webhooks.map(({ orderingKey }) => orderingKey),
        textArray,
      ),
      plainArray(webhooks.map(({ dataStart }) => dataStart)),
      unlessAllNull(
        webhooks.map(({ idempotency }) => idempotency?.key ?? null),
        textArray,
      ),
      unlessAllNull(
        webhooks.map(({ idempotency }) => idempotency?.fingerprint ?? null),
        bytesArray,
      ),
      allOrNone,
      bulk ? 'on' : 'off',
      apart,
    ],
  });
  const { ids, deliveries, outcomes } = rows[0] as Answer;
  return ids.map((id, index) => {
    const outcome = outcomes?.[index] ?? null;
    if (outcome !== null && outcome !== 'replayed') return outcome;
    if (id === null) return null;
    return { id, deliveries: deliveries[index] as number, replayed: outcome !== null };
  });
}

interface Answer {
  readonly ids: (string | null)[];
  readonly deliveries: number[];
  readonly outcomes: (Refusal | Apart | 'replayed' | null)[] | null;
}

function unlessAllNull<T>(
  values: (T | null)[],
  write: (values: (T | null)[]) => string,
): string | null {
  return values.every((value) => value === null) ? null : write(values);
}
