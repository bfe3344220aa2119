import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { bounds, type OwedDelivery } from './claim.sql.ts';

/**
 * Takes deliveries out of the queue: their receivers have as many requests as they are given. They
 * stay owed, in state `held`, and are not in the queue again; whoever owns the backlog of their
 * subscription sends them, the oldest first (backlog.ts).
 *
 * Each subscription's row in `backlogs` is written, whether it is there or not: so this and the
 * deletion of that row, once a backlog is empty, cannot pass each other unseen.
 */
export async function holdDeliveries(
  pool: pg.Pool,
  deliveries: readonly OwedDelivery[],
): Promise<void> {
  const webhooks = deliveries.map(({ webhookId }) => webhookId);
  await pool.query({
    name: 'hold',
    text: `
      with backlogs as (
        insert into posthorn.backlogs (subscription_id)
        select distinct id from unnest($2::integer[]) as s (id) order by id
        on conflict (subscription_id) do update set added_at = clock_timestamp()
      )
      update posthorn.deliveries d
      set state = 'held'
      from unnest($1::uuid[], $2::integer[], $3::smallint[]) as k (webhook_id, subscription_id, attempt_count)
      where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
        and d.webhook_id = any($1::uuid[]) and d.webhook_id between $4 and $5
        and d.attempt_count = k.attempt_count and d.state = 'pending'`,
    values: [
      plainArray(webhooks),
      plainArray(deliveries.map(({ subscriptionId }) => subscriptionId)),
      plainArray(deliveries.map(({ attemptCount }) => attemptCount)),
      ...bounds(webhooks),
    ],
  });
}

/**
 * Makes `owner` the one who sends the backlogs of subscriptions that nobody sends, up to so many,
 * the longest neglected first. An owner that is no longer among the workers is nobody.
 *
 * @returns the subscriptions whose backlogs are its own now.
 */
export async function takeBacklogs(pool: pg.Pool, owner: string, most: number): Promise<number[]> {
  const { rows } = await pool.query<{ subscription_id: number }>({
    name: 'take-backlogs',
    text: `
      update posthorn.backlogs
      set owner = $1, owned_at = now()
      where subscription_id in (
        select b.subscription_id
        from posthorn.backlogs b
        where b.owner is null or not exists (select from posthorn.workers w where w.pool_id = b.owner)
        order by b.owned_at nulls first
        limit $2
        for update skip locked)
      returning subscription_id`,
    values: [owner, most],
  });
  return rows.map(({ subscription_id }) => subscription_id);
}

/** Leaves backlogs to whoever takes them next. */
export async function leaveBacklogs(
  pool: pg.Pool,
  owner: string,
  subscriptionIds: readonly number[],
): Promise<void> {
  await pool.query({
    name: 'leave-backlogs',
    text: 'update posthorn.backlogs set owner = null where owner = $1 and subscription_id = any($2)',
    values: [owner, subscriptionIds],
  });
}

/**
 * Deletes a backlog's row if nothing is held any more, and nothing was added since `addedAt`.
 *
 * @returns whether it did.
 */
export async function endBacklog(
  pool: pg.Pool,
  subscriptionId: number,
  addedAt: string,
): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'end-backlog',
    text: `
      delete from posthorn.backlogs
      where subscription_id = $1 and added_at = $2::timestamptz
        and not exists (
          select from posthorn.deliveries where subscription_id = $1 and state = 'held')`,
    values: [subscriptionId, addedAt],
  });
  return rowCount === 1;
}

/** How much of which backlog is wanted. */
export interface HeldWanted {
  readonly subscriptionId: number;
  /** The last one that was loaded before, or null to begin with the oldest. */
  readonly after: string | null;
  readonly most: number;
}

export interface HeldFound {
  readonly deliveries: readonly OwedDelivery[];
  /** Of each backlog asked for: when something was last added to it, as text with its microseconds. */
  readonly addedAt: ReadonlyMap<number, string>;
}

/** Loads held deliveries of several backlogs, the oldest of each first. */
export async function loadHeld(pool: pg.Pool, wanted: readonly HeldWanted[]): Promise<HeldFound> {
  const ids = wanted.map(({ subscriptionId }) => subscriptionId);
  // Read first: what is added between the two is seen by its newer added_at.
  const { rows: backlogs } = await pool.query<{ subscription_id: number; added_at: string }>({
    name: 'backlogs-added',
    text: 'select subscription_id, added_at::text from posthorn.backlogs where subscription_id = any($1)',
    values: [ids],
  });
  const { rows } = await pool.query<HeldRow>({
    name: 'load-held',
    text: `
      select h.webhook_id::text, w.subscription_id, h.attempt_count, h.schedule_offset, p.content_type, p.body
      from unnest($1::integer[], $2::uuid[], $3::integer[]) as w (subscription_id, after, most)
      cross join lateral (
        select d.webhook_id, d.attempt_count, d.schedule_offset
        from posthorn.deliveries d
        where d.subscription_id = w.subscription_id and d.state = 'held'
          and d.webhook_id > coalesce(w.after, '00000000-0000-0000-0000-000000000000')
        order by d.webhook_id
        limit w.most
      ) as h
      join posthorn.webhook_payloads p on p.id = h.webhook_id
      order by h.webhook_id`,
    values: [
      plainArray(ids),
      plainArray(wanted.map(({ after }) => after)),
      plainArray(wanted.map(({ most }) => most)),
    ],
    binary: true,
  } as pg.QueryConfig);
  return {
    addedAt: new Map(backlogs.map((row) => [row.subscription_id, row.added_at])),
    deliveries: rows.map((row) => ({
      webhookId: row.webhook_id,
      subscriptionId: row.subscription_id,
      attemptCount: row.attempt_count,
      scheduleOffset: row.schedule_offset ?? 0,
      contentType: row.content_type,
      body: row.body,
    })),
  };
}

interface HeldRow {
  webhook_id: string;
  subscription_id: number;
  attempt_count: number;
  schedule_offset: number | null;
  content_type: string;
  body: Buffer;
}
