import type pg from 'pg';
import { historyIn, readEndOfHistory, readLiveHistory } from '../db/live-history.ts';
import { floorOf } from '../db/uuidv7.ts';
import { ATTEMPTS, DURATION_CLASSES } from './count-rows.sql.ts';
import { selectOwed } from './owed.sql.ts';
import { percentile } from './series.ts';
import type { Stats } from './stats.ts';

const DAY_MS = 86_400_000;

/** The time of which all minutes are counted. */
export interface Counted {
  readonly from: string;
  readonly until: string;
}

/** The deliveries and attempts that the figures are about. */
interface Scope {
  /** SQL of what was accepted: the table and condition, and the column with the id. `$2` is the tenant. */
  readonly accepted: string;
  readonly acceptedId: string;
  /** SQL condition on the subscription of a delivery or an attempt. */
  readonly has: (subscription: string) => string;
  /** SQL of the times between which hours, and then minutes, have been counted: `hours_from`, `minutes_from`, `counted`. */
  readonly counted: string;
  /** The id of the subscription in counts of hours. */
  readonly subscription: string;
}

/** SQL: the first whole hour (or minute) of the window that was counted. */
const firstOf = (unit: 'hour' | 'minute') =>
  `date_trunc('${unit}', greatest(since, counted_from) + interval '1 ${unit}' - interval '1 microsecond', 'UTC')`;
const lastHour = `date_trunc('hour', counted_until, 'UTC')`;

/** Counts of minutes are kept for two days. */
const OF_MINUTES = `select ${firstOf('minute')} as hours_from, ${firstOf('minute')} as minutes_from, counted_until as counted`;
const OF_HOURS_AND_MINUTES = `select ${firstOf('hour')} as hours_from, ${lastHour} as minutes_from, counted_until as counted`;
/** Counts of subscriptions are by the hour. */
const OF_HOURS = `select ${firstOf('hour')} as hours_from, ${lastHour} as minutes_from, ${lastHour} as counted`;

function scopeOf(subscriptionId: number | null, windowMs: number, others: boolean): Scope {
  if (subscriptionId !== null) {
    const own = '(select id from posthorn.subscriptions where id = $5 and tenant = $2)';
    return {
      accepted: `posthorn.deliveries where subscription_id = ${own}`,
      acceptedId: 'webhook_id',
      has: (subscription) => `${subscription} = ${own}`,
      counted: OF_HOURS,
      subscription: '$5',
    };
  }
  return {
    accepted: `posthorn.webhook_payloads where ${others ? 'tenant = $2' : 'true'}`,
    acceptedId: 'id',
    has: (subscription) =>
      others
        ? `${subscription} in (select id from posthorn.subscriptions where tenant = $2)`
        : 'true',
    counted: windowMs <= DAY_MS ? OF_MINUTES : OF_HOURS_AND_MINUTES,
    subscription: '0',
  };
}

interface Row extends Omit<Stats, 'p50' | 'p95' | 'p99'> {
  /** The attempts of each class of durations. */
  readonly classes: Readonly<Record<string, number>>;
}

/**
 * Reads figures as `readStats` does. Whole minutes and hours come from their counts (count.sql.ts), which are exact, and
 * only the ends of the window from history. Percentiles are computed from the counts of each class of durations.
 *
 * @param others there are other tenants.
 * @param counted read before: all before its end is in the counts that are read here.
 */
export async function readFromCounts(
  pool: pg.Pool,
  tenant: string,
  subscriptionId: number | null,
  windowMs: number,
  others: boolean,
  { from, until }: Counted,
): Promise<Stats> {
  const { accepted, acceptedId, has, counted, subscription } = scopeOf(
    subscriptionId,
    windowMs,
    others,
  );
  // The statement takes the time of the database, whose clock may be another.
  const since = new Date(Date.now() - windowMs - DAY_MS);
  const live = await readLiveHistory(pool, since);
  const recent = historyIn([{ from: floorOf(since), below: await readEndOfHistory(pool) }]);
  const bound = (name: string) => `(select ${name} from bounds)`;
  const idOf = (name: string) => `(select posthorn.uuidv7_floor(${name}) from bounds)`;
  /** SQL of both ends of the window, which are not counted. */
  const ends = (of: (within: (column: string, of: typeof bound) => string) => string) =>
    [
      of((column, at) => `${column} >= ${at('since')} and ${column} < ${at('hours_from')}`),
      of((column, at) => `${column} >= ${at('counted')}`),
    ].join(' union all ');
  const { rows } = await pool.query<Row>(
    `with bounds as materialized (
       select since, hours_from, greatest(hours_from, minutes_from) as minutes_from,
         greatest(hours_from, minutes_from, counted) as counted
       from (
         select since, u.*
         from (select now() - $1::float8 * interval '1 millisecond' as since, $3::timestamptz as counted_from,
           $4::timestamptz as counted_until) as w
         cross join lateral (${counted}) as u
       ) as spans
     ), counts as materialized (
       select accepted, ${ATTEMPTS} as attempts, success as succeeded, duration_classes, duration_numbers
       from posthorn.counts_by_hour
       where tenant = $2 and subscription_id = ${subscription} and hour >= ${bound('hours_from')} and hour < ${bound('minutes_from')}
       union all
       select accepted, ${ATTEMPTS}, success, duration_classes, duration_numbers
       from posthorn.counts_by_minute
       where tenant = $2 and minute >= ${bound('minutes_from')} and minute < ${bound('counted')}
       union all
       select 0, count(*), count(*) filter (where status = 'success'),
         array[width_bucket(duration_ms, '{${DURATION_CLASSES.join(',')}}'::integer[])::smallint], array[count(*)]
       from (${ends(
         (within) => `
         select a.status, a.duration_ms from posthorn.delivery_attempts a
         where ${within('a.at', bound)} and ${live.where('a.webhook_id')} and ${has('a.subscription_id')}`,
       )}) as a
       group by 4
       union all
       ${ends((within) => `select count(*), 0, 0, '{}', '{}' from ${accepted} and ${within(acceptedId, idOf)} and ${recent.where(acceptedId)}`)}
     ), totals as materialized (
       select coalesce(sum(accepted), 0)::integer as accepted, coalesce(sum(attempts), 0)::integer as attempts,
         coalesce(sum(succeeded), 0)::integer as succeeded
       from counts
     ), owed as (${selectOwed(live, has)})
     select totals.accepted, totals.succeeded,
       (select count(*) from posthorn.deliveries d
         where d.state = 'failed' and d.ended_at >= ${bound('since')}
           and ${live.where('d.webhook_id')} and ${has('d.subscription_id')})::integer as failed,
       owed.retrying,
       totals.attempts,
       owed.queue_depth,
       owed.oldest_due_at,
       owed.held,
       (select coalesce(jsonb_object_agg(duration_class, number), '{}') from (
         select duration_class, sum(number) as number
         from counts cross join lateral unnest(duration_classes, duration_numbers) as d (duration_class, number)
         group by 1) as c) as classes
     from totals, owed`,
    [windowMs, tenant, from, until, ...(subscriptionId === null ? [] : [subscriptionId])],
  );
  const { classes, ...figures } = rows[0] as Row;
  const numbers = Array.from({ length: DURATION_CLASSES.length + 1 }, (_, n) => classes[n] ?? 0);
  return {
    ...figures,
    p50: percentile(numbers, 0.5),
    p95: percentile(numbers, 0.95),
    p99: percentile(numbers, 0.99),
  };
}
