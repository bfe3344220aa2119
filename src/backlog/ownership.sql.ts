import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import { plainArray } from '../db/arrays.ts';
import { readLiveHistory, recallLiveHistory } from '../db/live-history.ts';
import { BACKLOG_CHANNEL } from '../deliveries/backlogs.sql.ts';
import { MAY_OWN } from './may-send.ts';

/** The beginning of the names in `posthorn.workers` of the workers that own backlogs. */
export const OWNER_NAMES = 'backlog ';

/** Subscriptions that one statement finds: each costs an index lookup in every partition. */
const MAX_FOUND = 500;

/** SQL condition: backlog `o` has no owner, or one that is not among the workers, or owner $1. */
const IS_FREE = (o: string) => `(
  ${o}.owner is null or ${o}.owner = $1
  or not exists (select from posthorn.workers k where k.pool_id = ${o}.owner))`;

/**
 * Makes `owner` the owner of these subscriptions' backlogs, except those that have a living owner and
 * those that need none. A row of `backlogs` is added for a subscription that lacks it and has held
 * deliveries, or sends all of them through its backlog.
 *
 * @returns the subscriptions whose backlogs `owner` has now, and those that have another owner.
 */
export async function takeBacklogs(
  pool: pg.Pool,
  owner: string,
  subscriptionIds: readonly number[],
): Promise<{ taken: number[]; ownedElsewhere: number[] }> {
  const live = await readLiveHistory(pool);
  const { rows } = await pool.query<{ id: number; mine: boolean }>({
    name: `take-backlogs ${live.key}`,
    text: `
      with asked as materialized (
        select w.id, o.owner, ${MAY_OWN} as may, ${IS_FREE('o')} as free,
          o.subscription_id is not null or s.through_backlog as backlog
        from unnest($2::integer[]) as w (id)
        left join posthorn.subscriptions s on s.id = w.id
        left join posthorn.backlogs o on o.subscription_id = w.id
      ), taken as (
        insert into posthorn.backlogs as b (subscription_id, owner, owned_at)
        select id, $1, now()
        from asked
        -- The offset makes it a look-up for each, instead of a list of all that is held. For the order see
        -- BY_SUBSCRIPTION in db/planner.ts.
        where may and free and (backlog is true or exists (
          select from posthorn.deliveries d where d.subscription_id = asked.id and d.state = 'held'
            and ${live.where('d.webhook_id')}
          order by d.webhook_id offset 0))
        order by id
        on conflict (subscription_id) do update
        set owner = excluded.owner, owned_at = excluded.owned_at
        -- A process that took it meanwhile may have become a worker after this statement's snapshot.
        where b.owner is null or b.owner = $1 or b.owned_at < now() and ${IS_FREE('b')}
        returning b.subscription_id
      )
      select subscription_id as id, true as mine from taken
      union all
      select id, false from asked where not free`,
    values: [owner, plainArray(subscriptionIds)],
  });
  const ids = (mine: boolean) => rows.filter((row) => row.mine === mine).map(({ id }) => id);
  return { taken: ids(true), ownedElsewhere: ids(false) };
}

/** Returns subscriptions whose backlogs have owners that are no longer among the workers. */
export async function findOrphans(pool: pg.Pool, limit: number): Promise<number[]> {
  const { rows } = await pool.query<{ subscription_id: number }>({
    name: 'find-orphans',
    text: `
      select b.subscription_id
      from posthorn.backlogs b
      where b.owner is not null
        and not exists (select from posthorn.workers k where k.pool_id = b.owner)
      limit $1`,
    values: [limit],
  });
  return rows.map(({ subscription_id }) => subscription_id);
}

/** Counts the backlogs that have an owner, and the workers that may own some. */
export async function countOwned(pool: pg.Pool): Promise<{ all: number; workers: number }> {
  const { rows } = await pool.query<{ all: number; workers: number }>({
    name: 'count-owned',
    text: `
      select (select count(*) from posthorn.backlogs where owner is not null)::integer as all,
        (select count(*) from posthorn.workers where pool_id like '${OWNER_NAMES}%')::integer as workers`,
  });
  return rows[0] ?? { all: 0, workers: 0 };
}

/** Releases backlogs, and with `tell` notifies all workers that they are free. */
export async function leaveBacklogs(
  pool: pg.Pool,
  owner: string,
  subscriptionIds: readonly number[],
  tell: boolean,
): Promise<void> {
  await pool.query({
    name: 'leave-backlogs',
    text: `
      with free as (
        update posthorn.backlogs set owner = null
        where owner = $1 and subscription_id = any($2::integer[])
        returning subscription_id
      ), numbered as (
        select subscription_id, row_number() over () / 500 as part from free where $3
      )
      select pg_notify('${BACKLOG_CHANNEL}', 'free:' || string_agg(subscription_id::text, ','))
      from numbered
      group by part`,
    values: [owner, plainArray(subscriptionIds), tell],
  });
}

/**
 * Deletes a backlog's row if it holds no delivery and the subscription needs no backlog. A delivery
 * that is added meanwhile writes `added_at`, so that the value read before no longer matches.
 *
 * @returns whether the row is gone.
 */
export async function endBacklog(
  pool: pg.Pool,
  owner: string,
  subscriptionId: number,
): Promise<boolean> {
  const { rows } = await pool.query<{ added_at: string }>({
    name: 'backlog-added',
    text: 'select added_at::text from posthorn.backlogs where subscription_id = $1 and owner = $2',
    values: [subscriptionId, owner],
  });
  const [row] = rows;
  if (row === undefined) return true;
  const live = await readLiveHistory(pool);
  const { rowCount } = await pool.query({
    name: `end-backlog ${live.key}`,
    text: `
      delete from posthorn.backlogs
      where subscription_id = $1 and owner = $2 and added_at = $3::timestamptz
        and not exists (
          select from posthorn.deliveries where subscription_id = $1 and state = 'held' and ${live.where('webhook_id')}
          order by webhook_id offset 0)
        and not exists (
          select from posthorn.subscriptions s
          where s.id = $1 and s.through_backlog and s.deleted_at is null)`,
    values: [subscriptionId, owner, row.added_at],
  });
  return rowCount === 1;
}

/**
 * Finds subscriptions with held deliveries, in the order of their ids, by skipping from one to the
 * next in the partial index: the cost grows with those subscriptions, not with their deliveries.
 *
 * @param tell notify all workers of the result. One process at a time does so; the others find nothing.
 * @returns those found after `after`, and where to go on, or null when that was all.
 */
export async function findHeld(
  pool: pg.Pool,
  after: number,
  tell: boolean,
): Promise<{ subscriptionIds: number[]; next: number | null }> {
  const live = await recallLiveHistory(pool);
  const { rows } = await pool.query<{ ids: number[] | null }>({
    name: `find-held ${live.key}`,
    text: `
      with recursive mine as materialized (
        select not $2 or pg_try_advisory_xact_lock(${LOCKS.sweep}) as yes
      ), found (id) as (
        select (
          select d.subscription_id from posthorn.deliveries d
          where d.state = 'held' and d.subscription_id > $1 and ${live.where('d.webhook_id')}
          order by d.subscription_id limit 1)
        from mine where yes
        union all
        select (
          select d.subscription_id from posthorn.deliveries d
          where d.state = 'held' and d.subscription_id > found.id and ${live.where('d.webhook_id')}
          order by d.subscription_id limit 1)
        from found where found.id is not null
      ), few as materialized (
        select id from found limit ${MAX_FOUND}
      ), told as (
        select pg_notify('${BACKLOG_CHANNEL}', string_agg(id::text, ',')) from few where $2 having count(id) > 0
      )
      select (select array_agg(id) from few where id is not null) as ids, (select count(*) from told)`,
    values: [after, tell],
  });
  const subscriptionIds = rows[0]?.ids ?? [];
  const next = subscriptionIds.length < MAX_FOUND ? null : (subscriptionIds.at(-1) as number);
  return { subscriptionIds, next };
}
