// The numbers that the tables of counts have, and those that they should have, counted from the history.
import { DURATION_CLASSES } from '../../src/history/count-rows.sql.ts';

/** SQL: the class of the duration of an attempt. */
const CLASS = `width_bucket(a.duration_ms, '{${DURATION_CLASSES.join(',')}}'::integer[])`;
/**
 * SQL: the columns of counts of a group of rows of what happened, which have `what` (accepted, or the status of an attempt)
 * and a `class` (null: accepted). They are as `countsIn` reads them.
 */
const countsOf = ['accepted', 'success', 'failed', 'timeout', 'blocked']
  .map((name) => `count(*) filter (where what = '${name}')::integer as ${name}`)
  .concat(`array_agg(class order by class) filter (where class is not null) as durations`)
  .join(', ');
/** SQL that reads counts: the keys, the numbers, and the class of the duration of each attempt, in order. */
const countsIn = (table: string, keys: string) => `
  select ${keys}, accepted::integer, success::integer, failed::integer, timeout::integer, blocked::integer,
    (select array_agg(class::integer order by class)
      from unnest(duration_classes, duration_numbers) as d (class, number), generate_series(1, number)) as durations
  from posthorn.${table} order by ${keys}`;

/** SQL: what history says that counts_by_minute must have. */
export const BY_MINUTE = `
  select tenant, minute, ${countsOf} from (
    select tenant, date_trunc('minute', accepted_at) as minute, 'accepted' as what, null::integer as class
    from posthorn.webhook_payloads
    union all
    select s.tenant, date_trunc('minute', a.at), a.status::text, ${CLASS}
    from posthorn.delivery_attempts a join posthorn.subscriptions s on s.id = a.subscription_id
  ) as happened
  where minute < (select counted_until from posthorn.counting)
  group by 1, 2 order by 1, 2`;
/** The rows of counts_by_minute, in the same form. */
export const COUNTED_BY_MINUTE = countsIn('counts_by_minute', 'tenant, minute');
/** The same for counts_by_hour. */
export const BY_HOUR = `
  select tenant, subscription_id, hour, ${countsOf} from (
    select tenant, 0 as subscription_id, date_trunc('hour', accepted_at) as hour, 'accepted' as what, null::integer as class
    from posthorn.webhook_payloads where accepted_at < (select counted_until from posthorn.counting)
    union all
    select s.tenant, s.id, date_trunc('hour', posthorn.uuidv7_time(d.webhook_id)), 'accepted', null
    from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
    where posthorn.uuidv7_time(d.webhook_id) < (select counted_until from posthorn.counting)
    union all
    select s.tenant, x.id, date_trunc('hour', a.at), a.status::text, ${CLASS}
    from posthorn.delivery_attempts a join posthorn.subscriptions s on s.id = a.subscription_id
    cross join lateral unnest(array[0, s.id]) as x (id)
    where a.at < (select counted_until from posthorn.counting)
  ) as happened
  group by 1, 2, 3 order by 1, 2, 3`;
/** The rows of counts_by_hour, in the same form. */
export const COUNTED_BY_HOUR = countsIn('counts_by_hour', 'tenant, subscription_id, hour');
