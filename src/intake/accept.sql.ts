import type pg from 'pg';
import { bytesArray, plainArray, textArray } from '../db/arrays.ts';
import { oneAfterAnother } from '../db/big-messages.ts';
import { isWithoutPartition, makePartitions } from '../db/partitions.ts';
import { queryToKnow } from '../db/unknown-outcome.ts';

/** A webhook to be accepted. */
export interface IncomingWebhook {
  /** The only subscription to deliver to; null: all subscriptions of the tenant that match the event type. */
  readonly subscriptionId: number | null;
  readonly tenant: string;
  readonly eventType: string | null;
  readonly channels: readonly string[] | null;
  /** In a subscription with strict ordering, webhooks with the same key wait for each other. */
  readonly orderingKey: string | null;
  readonly contentType: string;
  /** The headers of its sender or source that deliveries get, by their names in lower case; null: none. */
  readonly headers: Readonly<Record<string, string>> | null;
  /** When it is to be delivered; null or a time in the past: at once. */
  readonly deliverAt: Date | null;
  /** The exact body to deliver. */
  readonly body: Buffer;
  /**
   * The offset in the body of the data that filters read. 0: the body is the data; otherwise it is an
   * envelope, which ends one byte after the data.
   */
  readonly dataStart: number;
  /** The idempotency key of the request, if any. Webhooks of one call with the same key are one request. */
  readonly idempotency: Idempotency | null;
}

/** Identifies a repeated request. */
export interface Idempotency {
  readonly key: string;
  /** SHA-256 of the request. The key is refused for a request with another fingerprint. */
  readonly fingerprint: Buffer;
}

/** A webhook that is committed. */
export interface AcceptedWebhook {
  readonly id: string;
  /** The number of subscriptions that it is delivered to. */
  readonly deliveries: number;
  /** True: the webhook was accepted earlier, with the same idempotency key. */
  readonly replayed: boolean;
}

/**
 * Why a webhook was not accepted: a request with its idempotency key is in progress (`in_flight`), its key
 * was used for another request (`reused`), its subscriptions' filters would take too long, or its tenant is closed in
 * this database, because it moves or has moved to another one.
 */
export type Refusal = 'in_flight' | 'reused' | 'filters_cost' | 'fan_out' | 'closed';

/**
 * Nothing was accepted: the tenant's filters and fan-out take too long for a statement that tenants share.
 * The webhook must be accepted in a statement of its tenant alone.
 */
export type Apart = 'apart';

/** The answer to a webhook; null: its subscription does not exist. */
export type Answer = AcceptedWebhook | Refusal | Apart | null;

interface AcceptOptions {
  /** True: the sender sends so many webhooks that deliveries of other senders go first. */
  readonly bulk: boolean;
  /** True: all webhooks belong to the same tenant, and no other tenant waits for the statement. */
  readonly apart: boolean;
  /** True: a refusal for the cost of filters is an error, SQLSTATE 54000. The answer is then never `apart`. */
  readonly allOrNone?: boolean;
  /** The worker of this process that will send the deliveries from its memory, if they are at most `room`. */
  readonly worker?: { readonly number: number; readonly room: number } | undefined;
}

/** The answers to webhooks that were accepted together. */
export interface Accepted {
  /** In the order of the webhooks. */
  readonly answers: Answer[];
  /** The deliveries that the worker has to send, because they have no jobs: all or none. */
  readonly handedOver: readonly HandedOver[];
}

/** A delivery that is committed and has no job. */
export interface HandedOver {
  readonly id: string;
  readonly webhook: IncomingWebhook;
  readonly subscriptionId: number;
}

/**
 * Commits webhooks, their deliveries and their jobs in one transaction. `posthorn.accept` does it
 * (schema/functions/accept.sql and accept_general.sql): fan-out, filtering, idempotency and enqueueing.
 *
 * The bodies are one binary parameter, with their offsets. Two alternatives were slower: a bytea[] (sent as
 * escaped text of twice the size), and a row of parameters for each webhook (a statement to parse for every
 * group size). A parameter that no webhook of the group uses is null, which costs nothing.
 *
 * @throws OutcomeUnknownError when they may have been committed; after any other error they were not.
 */
export async function acceptWebhooks(
  pool: pg.Pool,
  webhooks: readonly IncomingWebhook[],
  { bulk, apart, allOrNone = false, worker }: AcceptOptions,
): Promise<Accepted> {
  const starts: number[] = [];
  const lengths: number[] = [];
  let start = 0;
  for (const { body } of webhooks) {
    starts.push(start);
    lengths.push(body.length);
    start += body.length;
  }
  const statement = {
    name: 'accept',
    text: `select ids::text[], deliveries, outcomes, handed_places as places, handed_subscriptions as subscriptions
      from set_config('posthorn.bulk', $14, true),
        posthorn.accept($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $15, $16, $17, $18, $19)`,
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
      unlessAllNull(
        webhooks.map(({ headers }) => (headers === null ? null : JSON.stringify(headers))),
        textArray,
      ),
      worker?.number ?? null,
      worker?.room ?? 0,
      unlessAllNull(
        webhooks.map(({ deliverAt }) => deliverAt?.toISOString() ?? null),
        textArray,
      ),
    ],
  };
  const { rows } = await queryToKnow<Row>(pool, statement).catch(async (error) => {
    if (!isWithoutPartition(error)) throw error;
    // Somebody dropped today's partition of a table.
    await makePartitions(pool, 1);
    return await queryToKnow<Row>(pool, statement);
  });
  const { ids, deliveries, outcomes, places, subscriptions } = rows[0] as Row;
  const answers = ids.map((id, index) => {
    const outcome = outcomes?.[index] ?? null;
    if (outcome !== null && outcome !== 'replayed') return outcome;
    if (id === null) return null;
    return { id, deliveries: deliveries[index] as number, replayed: outcome !== null };
  });
  const handedOver = (places ?? []).map((place, nth) => ({
    id: ids[place - 1] as string,
    webhook: webhooks[place - 1] as IncomingWebhook,
    subscriptionId: subscriptions?.[nth] as number,
  }));
  return { answers, handedOver };
}

/** The first three are in the order of the webhooks; the last two have an entry for each delivery handed over. */
interface Row {
  readonly ids: (string | null)[];
  readonly deliveries: number[];
  readonly outcomes: (Refusal | Apart | 'replayed' | null)[] | null;
  readonly places: number[] | null;
  readonly subscriptions: number[] | null;
}

function unlessAllNull<T>(
  values: (T | null)[],
  write: (values: (T | null)[]) => string,
): string | null {
  return values.every((value) => value === null) ? null : write(values);
}
