import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { isOfRows } from '../db/availability.ts';
import { binaryRows } from '../db/driver.ts';
import { historyOf } from '../db/history-of-ids.ts';
import { idsWithBounds, isIn, isOneOf, outsideIndex } from '../db/planner.ts';
import {
  loadPayloads,
  MISSING,
  PAYLOAD_COLUMNS,
  type PayloadRow,
  payloadOf,
} from './payloads.sql.ts';

/** Keys of deliveries, as columns: the nth webhook is owed to the nth subscription. */
export interface DeliveryKeys {
  readonly webhooks: readonly string[];
  readonly subscriptions: readonly number[];
}

/** A delivery that is owed, with its body. */
export interface OwedDelivery {
  readonly webhookId: string;
  readonly subscriptionId: number;
  readonly tenant: string;
  readonly attemptCount: number;
  /** Attempts that were made before its schedule began again. */
  readonly scheduleOffset: number;
  /** Attempts that were probes, which use up no attempt of the retry schedule. */
  readonly probeCount: number;
  /** The worker that it was handed over to before its first attempt (sending/hand-over.ts). */
  readonly handedTo: number | null;
  readonly contentType: string;
  /** Headers of its source that are sent with it, as names and values in turn; null: none. */
  readonly sourceHeaders: readonly string[] | null;
  /** When its attempt was due, on the clock of `performance.now()`. */
  readonly dueAt: number;
  /** The size of the body. */
  readonly bytes: number;
  /** Null: the body is large, and is loaded when it can be sent (large-bodies.ts), or `problem` says why. */
  readonly body: Buffer | null;
  /** No other delivery has this body, so its memory may be freed as soon as it is sent. */
  readonly ownBody: boolean;
  /** The reason why its body cannot be sent. */
  readonly problem: string | null;
}

/** SQL: the time since a delivery was due, by the clock of Postgres, as all due times are. */
const OVERDUE_MS =
  'coalesce(extract(epoch from clock_timestamp() - next_attempt_at) * 1000, 0)::float8';

/** Returns the bytes of a delivery's body in memory: none of a body that is loaded when it can be sent. */
export function loadedBytesOf({ body, bytes }: OwedDelivery): number {
  // Not the length of the body, which is 0 once its memory is freed.
  return body === null ? 0 : bytes;
}

/**
 * Loads deliveries that are still pending, for jobs, or still held, for the owner of their backlog.
 * The job's own lock in the queue, or the ownership, is the claim, and the recorder's check of
 * `attempt_count` is the fence; a claim that wrote to `deliveries` would cost a row version and two
 * index entries a webhook, and protect nothing more.
 *
 * Two statements side by side, so that a body is loaded once for however many subscriptions, and in
 * binary: as text it would be twice its size in hex. Each is one index scan over the list of ids.
 * Measured and rejected: a join of keys, deliveries and payloads reads the range of ids between the
 * least and the greatest, which is hours of bodies once one of them is an old retry; forced to look
 * each key up by itself, it takes twice as long, since Postgres prunes partitions again for each.
 * The days of the ids are constants (`historyOf`), and the least and the greatest id exclude other days' partitions
 * among these before the scan starts.
 * A single delivery has none of this, and one statement for it costs a third less.
 */
export async function loadOwed(
  pool: pg.Pool,
  { webhooks, subscriptions }: DeliveryKeys,
  state: 'pending' | 'held' = 'pending',
): Promise<OwedDelivery[]> {
  if (state === 'pending' && webhooks.length === 1) {
    const one = await loadOne(pool, webhooks[0] as string, subscriptions[0] as number);
    if (one !== 'unreadable') return one;
  }
  const ids = [...new Set(webhooks)];
  const days = historyOf(ids);
  const [deliveries, payloadOf] = await Promise.all([
    pool.query<DeliveryRow>({
      ...days.named(`load-${state}`),
      text: `
        select webhook_id, subscription_id, attempt_count, schedule_offset, probe_count, handed_to,
          ${OVERDUE_MS} as overdue_ms
        from posthorn.deliveries
        where ${isOneOf('webhook_id', 1)} and ${days.where('webhook_id')}
          and ${outsideIndex('subscription_id')} = any($4::integer[])
          and ${isIn('deliveries', state)}`,
      values: [...idsWithBounds(ids), plainArray([...new Set(subscriptions)])],
    }),
    loadPayloads(pool, ids),
  ]);
  const now = performance.now();
  const ownBody =
    new Set(deliveries.rows.map((row) => row.webhook_id)).size === deliveries.rowCount;
  return deliveries.rows.map(
    ({ webhook_id, subscription_id, attempt_count, schedule_offset, probe_count, ...row }) => ({
      webhookId: webhook_id,
      subscriptionId: subscription_id,
      attemptCount: attempt_count,
      scheduleOffset: schedule_offset ?? 0,
      probeCount: probe_count,
      handedTo: row.handed_to,
      dueAt: now - row.overdue_ms,
      ownBody,
      ...(payloadOf.get(webhook_id) ?? MISSING),
    }),
  );
}

/**
 * Loads a delivery that is alone in its group, the usual case at rest, with its body by one statement.
 *
 * @returns `unreadable` if the row of the delivery or of its payload cannot be read. Two statements tell which.
 */
async function loadOne(
  pool: pg.Pool,
  webhookId: string,
  subscriptionId: number,
): Promise<OwedDelivery[] | 'unreadable'> {
  const days = historyOf([webhookId]);
  try {
    const { rows } = await pool.query<
      [
        attempts: string,
        offset: string | null,
        probes: string,
        handedTo: string | null,
        overdueMs: string,
        ...PayloadRow,
      ]
    >(
      binaryRows({
        ...days.named('load-one'),
        text: `
          select d.attempt_count::text, d.schedule_offset::text, d.probe_count::text, d.handed_to::text,
            ${OVERDUE_MS}::text,
            ${PAYLOAD_COLUMNS}
          from posthorn.deliveries d
          left join posthorn.webhook_payloads p on p.id = d.webhook_id and ${days.where('p.id')}
          where d.webhook_id = $1 and d.subscription_id = $2 and ${isIn('d', 'pending')}
            and ${days.where('d.webhook_id')}`,
        values: [webhookId, subscriptionId],
      }),
    );
    return rows.map(([attempts, offset, probes, handedTo, overdueMs, ...payload]) => ({
      webhookId,
      subscriptionId,
      attemptCount: Number(attempts),
      scheduleOffset: Number(offset ?? 0),
      probeCount: Number(probes),
      handedTo: handedTo === null ? null : Number(handedTo),
      dueAt: performance.now() - Number(overdueMs),
      ownBody: true,
      // Null: there is no such payload.
      ...(payload[0] === null ? MISSING : payloadOf(payload)),
    }));
  } catch (error) {
    if (isOfRows(error)) return 'unreadable';
    throw error;
  }
}

interface DeliveryRow {
  webhook_id: string;
  subscription_id: number;
  attempt_count: number;
  schedule_offset: number | null;
  probe_count: number;
  handed_to: number | null;
  overdue_ms: number;
}
