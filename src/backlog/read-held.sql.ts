import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { readLiveHistory } from '../db/live-history.ts';
import type { HeldPage } from './send-order.ts';

/** A page to read of a subscription's held deliveries. */
export interface HeldPageRequest {
  readonly subscriptionId: number;
  /** The id after which the page begins; null: the oldest. */
  readonly after: string | null;
  readonly most: number;
  /** Read the ordering keys too, from the webhooks' payloads. */
  readonly keyed: boolean;
}

/** Ids this old are committed: only a transaction of an application's own takes longer. */
const LATE_MS = 5_000;
const NONE = '00000000-0000-0000-0000-000000000000';
/** A row of a page: an id, when it is due, and its key. */
const ROW_BYTES = 16 + 8 + 8;

/**
 * Reads held deliveries of several subscriptions, the oldest of each first, without their bodies. It
 * reads as many entries of the index `deliveries_held` as are asked for. Keys come as 53 bits of
 * their hash: two keys that share these wait for each other, and none is sent too early.
 *
 * A page is one value, so that a long one is not tens of thousands of objects here. *Measured* on a
 * million strict ones: 1,000 at once take 3.3 ms in Postgres, 20,000 take 96 ms; four fifths of that are
 * the lookups of the keys, four pages of an index and a table each. An index of the keys would save
 * them, and cost every webhook an entry; and it could not be created on a table of ten million
 * rows without a lock that is too long.
 */
export async function readHeld(
  pool: pg.Pool,
  requests: readonly HeldPageRequest[],
): Promise<Map<number, HeldPage>> {
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<{
    subscription_id: number;
    settled_to: string;
    page: Buffer | null;
  }>({
    name: `read-held ${live.key}`,
    text: `
      select a.subscription_id, h.page,
        posthorn.uuidv7_floor(now() - interval '${LATE_MS} milliseconds')::text as settled_to
      from unnest($1::integer[], $2::uuid[], $3::integer[], $4::boolean[])
        as a (subscription_id, after, most, keyed)
      cross join lateral (
        select string_agg(
          uuid_send(webhook_id)
            || float8send(coalesce(extract(epoch from next_attempt_at - now()) * 1000, 0)::float8)
            || float8send(case when a.keyed then coalesce((
                select hashtextextended(p.ordering_key, 0) >> 11
                from posthorn.webhook_payloads p
                where p.id = webhook_id and ${live.where('p.id')}), 0) else 0 end::float8),
          '') as page
        from (
          select d.webhook_id, d.next_attempt_at
          from posthorn.deliveries d
          where d.subscription_id = a.subscription_id and d.state = 'held' and ${live.where('d.webhook_id')}
            and d.webhook_id > coalesce(a.after, '${NONE}')
          order by d.webhook_id
          limit a.most
        ) as next
      ) as h`,
    values: [
      plainArray(requests.map(({ subscriptionId }) => subscriptionId)),
      plainArray(requests.map(({ after }) => after)),
      plainArray(requests.map(({ most }) => most)),
      plainArray(requests.map(({ keyed }) => String(keyed))),
    ],
  });
  const readAt = performance.now();
  return new Map(
    rows.map(({ subscription_id, settled_to, page }) => [
      subscription_id,
      pageOf(page ?? Buffer.alloc(0), settled_to, readAt),
    ]),
  );
}

function pageOf(bytes: Buffer, settledTo: string, readAt: number): HeldPage {
  return {
    settledTo,
    length: bytes.length / ROW_BYTES,
    webhookIdOf(at) {
      const from = at * ROW_BYTES;
      const hex = bytes.toString('hex', from, from + 16);
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    },
    dueAtOf: (at) => readAt + Math.max(0, bytes.readDoubleBE(at * ROW_BYTES + 16)),
    keyOf: (at) => bytes.readDoubleBE(at * ROW_BYTES + 24),
  };
}
