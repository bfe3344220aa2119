import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { bounds } from '../db/planner.ts';
import { inTransaction } from '../db/transaction.ts';
import { deliverAgain } from '../deliveries/deliver-again.sql.ts';
import { uuidConstant } from '../history/scan.ts';
import { listWebhooks } from '../history/webhooks.ts';

/** The most webhooks that are sent again by one request. */
export const MAX_LATEST = 100;
/** Webhooks that are looked at for it: pages of so many, the newest first. */
export const MAX_LOOKED_AT = 10_000;
const PAGE = 500;
/** After this time no further page is looked at: a filter may take long, and the request has a turn of its tenant. */
const MAX_MS = 3_000;
/** Bodies that one statement tests a filter on. The first one is tested at any size that intake takes. */
const MAX_TESTED_BYTES = 4 * 1024 * 1024;

/** Says which webhooks to send again. */
export interface Latest {
  readonly tenant: string;
  readonly subscriptionId: number;
  /** The most webhooks. */
  readonly last: number;
  /** Patterns as in subscriptions; null: all webhooks. */
  readonly eventTypes: readonly string[] | null;
}

export interface Replayed {
  /** The newest first. */
  readonly webhookIds: readonly string[];
  /** Deliveries that are due now and were not before. */
  readonly owed: number;
}

/**
 * Sends the latest webhooks of a tenant to a subscription again: those that it had, and those that it would get if they
 * were sent by event type now. So a subscription that was just created gets what was sent before. Webhooks whose body is
 * deleted, or that are not due yet, are passed over.
 *
 * @param pools `lists` has the planner settings `POOL_PLANS.lists`.
 */
export async function replayLatest(
  pools: { readonly general: pg.Pool; readonly lists: pg.Pool },
  latest: Latest,
): Promise<Replayed> {
  const webhookIds = await chooseLatest(pools.lists, latest);
  const owed = await inTransaction(pools.general, (client) =>
    deliverAgain(client, latest.subscriptionId, webhookIds),
  );
  return { webhookIds, owed };
}

async function chooseLatest(pool: pg.Pool, latest: Latest): Promise<string[]> {
  const { tenant, last } = latest;
  const startedAt = performance.now();
  const chosen: string[] = [];
  let after: readonly string[] | undefined;
  for (let pages = 0; pages < MAX_LOOKED_AT / PAGE; pages++) {
    const page = await listWebhooks(pool, { tenant }, PAGE, after);
    const ids = page.rows.filter(({ bytes }) => bytes !== null).map((row) => row.webhook_id);
    const tested = await findWanted(pool, latest, ids);
    chosen.push(...tested.filter(({ wanted }) => wanted).map(({ id }) => id));
    const testedLast = tested.at(-1);
    const isCut = testedLast !== undefined && tested.length < ids.length;
    if (chosen.length >= last || (!isCut && page.next === null)) break;
    if (performance.now() - startedAt > MAX_MS) break;
    after = isCut ? [testedLast.id] : (page.next ?? undefined);
  }
  return chosen.slice(0, last);
}

/** Returns which webhooks the subscription had or would get, the newest first: as many as one statement may test. */
async function findWanted(
  pool: pg.Pool,
  { subscriptionId, eventTypes }: Latest,
  ids: readonly string[],
): Promise<{ id: string; wanted: boolean }[]> {
  if (ids.length === 0) return [];
  // Constants, so that Postgres plans only the partitions of these webhooks.
  const [least, greatest] = bounds(ids).map(uuidConstant);
  const { rows } = await pool.query<{ id: string; wanted: boolean }>(
    `select r.id::text, coalesce(
       (r.deliver_at is null or r.deliver_at <= now())
       and ($3::text[] is null or $3 && posthorn.event_type_patterns(r.event_type))
       and case
         when r.was_delivered then true
         -- It was sent to another subscription alone.
         when r.event_type is null then false
         when not coalesce(s.event_types, '{*}') && posthorn.event_type_patterns(r.event_type) then false
         when s.channels is not null and (s.channels && r.channels) is not true then false
         when s.filter_test is null then true
         else jsonb_path_exists(posthorn.webhook_data(r.body, r.event_type), s.filter_test, '{}', true)
       end, false) as wanted
     from posthorn.subscriptions s
     cross join lateral (
       select w.id, w.deliver_at, w.event_type, w.channels, w.body,
         exists (
           select from posthorn.deliveries d
           where d.webhook_id = w.id and d.webhook_id between ${least} and ${greatest} and d.subscription_id = s.id
         ) as was_delivered,
         sum(length(w.body)) over (order by w.id desc rows unbounded preceding) - length(w.body) as bytes_before
       from posthorn.webhook_payloads w
       where w.id = any($2::uuid[]) and w.id between ${least} and ${greatest} and w.body is not null
     ) as r
     where s.id = $1 and s.deleted_at is null
       and (s.filter_test is null or r.bytes_before < ${MAX_TESTED_BYTES})
     order by r.id desc`,
    [subscriptionId, plainArray(ids), eventTypes],
  );
  return rows;
}
