import type pg from 'pg';
import { historyIn, type IdRange } from '../db/live-history.ts';
import { isAmong } from '../db/planner.ts';
import { floorOf } from '../db/uuidv7.ts';
import {
  ADD_TO_KNOWN,
  COUNTS,
  COUNTS_OF_ACCEPTED,
  COUNTS_OF_ATTEMPTS,
  DURATION_CLASSES,
  rowOfClasses,
  sums,
} from './count-rows.sql.ts';

/**
 * The id of a webhook is dated after its transaction got its number, but an attempt that comes late may be dated some
 * microseconds before.
 */
const NUMBERED_AFTER = `interval '1 second'`;
const KEEP_MINUTES = `interval '2 days'`;
const KEEP_HOURS = `interval '400 days'`;
/**
 * Those of each subscription: longer than any window of the API. A webhook to 100,000 subscriptions makes as many rows,
 * so they would come to need more space than history.
 */
const KEEP_HOURS_OF_SUBSCRIPTIONS = `interval '35 days'`;
/** Hours that are searched for old rows of subscriptions. What a longer pause leaves goes with the totals. */
const SEARCHED_HOURS = `interval '7 days'`;

/**
 * Counts the webhooks and attempts of the next minute whose transactions have all ended, each exactly once: the
 * numbers and the time up to which all is counted are committed together.
 *
 * A minute is complete when no transaction that began to write in it is open: posthorn.committed_before says up to
 * when. A long transaction that writes, of any application in this database, delays the counts, and loses none.
 *
 * Attempts are found by the index on their time, in all partitions, because a retry belongs to an older day. The
 * conditions are scalars, so that they bound the index. The statement has no name: it is planned for its values.
 *
 * If another process counts at this moment, nothing is done.
 *
 * @returns true if more minutes may be complete.
 */
export async function countMinute(pool: pg.Pool): Promise<boolean> {
  // One statement, because an idle process does it too.
  const progress = await pool.query<{ counted_until: Date } & IdRange>(
    `select c.counted_until, l.from_id as from, l.below_id as below
     from posthorn.counting c cross join lateral posthorn.live_history(c.counted_until) l
     order by l.from_id nulls first`,
  );
  if (progress.rows[0] === undefined) return false;
  // Another process may move it meanwhile: only on, to newer history.
  const since = progress.rows[0].counted_until;
  const live = historyIn(progress.rows);
  const recent = historyIn([{ from: floorOf(since), below: null }]);
  const { rows } = await pool.query<{ more: boolean }>(
    `with place as materialized (
       -- The row as the last counting process has left it, whatever the snapshot of this statement has.
       select counted_until from posthorn.counting for update skip locked
     ), complete as materialized (
       select counted_until as since,
         date_trunc('minute', posthorn.uuidv7_time(posthorn.committed_before()) - ${NUMBERED_AFTER}, 'UTC')
           as complete_until
       from place
     ), following as materialized (
       -- Minutes in which nothing happened are passed over at once, so a service that was away catches up.
       select since, complete_until, date_trunc('minute', least(
         (select min(at) from posthorn.delivery_attempts where at >= since and ${live.where('webhook_id')}),
         (select posthorn.uuidv7_time(id) from posthorn.webhook_payloads
           where id >= posthorn.uuidv7_floor(since) and ${recent.where('id')} order by id limit 1)), 'UTC') as minute
       from complete
     ), span as materialized (
       -- All that happened before its end happened in its minute.
       select since, complete_until, minute, date_trunc('hour', minute, 'UTC') as hour,
         greatest(since, least(complete_until, coalesce(minute + interval '1 minute', 'infinity'))) as until
       from following
     ), attempts as materialized (
       select subscription_id, width_bucket(duration_ms, $1::integer[])::smallint as duration_class, ${COUNTS_OF_ATTEMPTS}
       from posthorn.delivery_attempts
       where at >= (select since from span) and at < (select until from span) and ${live.where('webhook_id')}
       group by 1, 2
     ), deliveries as materialized (
       select subscription_id, ${COUNTS_OF_ACCEPTED}
       from posthorn.deliveries
       where webhook_id >= (select posthorn.uuidv7_floor(since) from span)
         and webhook_id < (select posthorn.uuidv7_floor(until) from span) and ${recent.where('webhook_id')}
       group by 1
     ), of_subscriptions as materialized (
       ${rowOfClasses('subscription_id', '(select * from deliveries union all select * from attempts) as c')}
     ), owners as materialized (
       select id, tenant from posthorn.subscriptions
       where ${isAmong('id', 'select subscription_id from of_subscriptions')}
     ), webhooks as materialized (
       select tenant, ${COUNTS_OF_ACCEPTED}
       from posthorn.webhook_payloads
       where id >= (select posthorn.uuidv7_floor(since) from span)
         and id < (select posthorn.uuidv7_floor(until) from span) and ${recent.where('id')}
       group by 1
     ), of_tenants as materialized (
       ${rowOfClasses(
         'tenant',
         `(
           select * from webhooks
           union all
           select o.tenant, a.duration_class, ${sums()} from attempts a join owners o on o.id = a.subscription_id group by 1, 2
         ) as c`,
       )}
     ), minutes as (
       insert into posthorn.counts_by_minute (tenant, minute, ${COUNTS})
       select tenant, span.minute, ${COUNTS} from of_tenants, span
     ), hours as (
       insert into posthorn.counts_by_hour as known (tenant, subscription_id, hour, ${COUNTS})
       select tenant, subscription_id, span.hour, ${COUNTS}
       from (
         select tenant, 0 as subscription_id, ${COUNTS} from of_tenants
         union all
         select tenant, subscription_id, ${COUNTS} from of_subscriptions join owners on id = subscription_id
       ) as h, span
       -- The order of the index: the rows of a subscription are beside each other.
       order by 1, 2
       on conflict (tenant, subscription_id, hour) do update set ${ADD_TO_KNOWN}
     ), moved as (
       update posthorn.counting c set counted_until = span.until from span where span.until > c.counted_until
     )
     select coalesce((select until < complete_until from span), false) as more`,
    [`{${DURATION_CLASSES.join(',')}}`],
  );
  return rows[0]?.more ?? false;
}

/** Deletes counts of minutes older than two days, of hours older than 400 days, and of subscriptions older than 35. */
export async function forgetCounts(pool: pg.Pool): Promise<void> {
  await pool.query(`delete from posthorn.counts_by_minute where minute < now() - ${KEEP_MINUTES}`);
  await pool.query(`delete from posthorn.counts_by_hour where hour < now() - ${KEEP_HOURS}`);
  await pool.query(
    `delete from posthorn.counts_by_hour
     where hour < now() - ${KEEP_HOURS_OF_SUBSCRIPTIONS}
       and hour >= now() - ${KEEP_HOURS_OF_SUBSCRIPTIONS} - ${SEARCHED_HOURS} and subscription_id <> 0`,
  );
}
