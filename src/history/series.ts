import type pg from 'pg';
import {
  historyIn,
  type LiveHistory,
  readEndOfHistory,
  readLiveHistory,
} from '../db/live-history.ts';
import { floorOf } from '../db/uuidv7.ts';
import { ATTEMPTS, DURATION_CLASSES } from './count-rows.sql.ts';

/** The windows of a series, each with the length of its periods. */
export const SERIES_WINDOWS = {
  '1h': { periods: 60, periodMs: 60_000 },
  '24h': { periods: 144, periodMs: 600_000 },
  '7d': { periods: 168, periodMs: 3_600_000 },
  '30d': { periods: 120, periodMs: 21_600_000 },
} as const;

export type SeriesWindow = keyof typeof SERIES_WINDOWS;

/** The counts and latencies of one period. */
export interface SeriesPoint {
  /** When the period begins. */
  readonly at: Date;
  /** Webhooks accepted; of a subscription: deliveries created for it. */
  readonly accepted: number;
  readonly attempts: number;
  readonly succeeded: number;
  /** Attempts that did not succeed. */
  readonly failed: number;
  /** Percentiles of the durations of attempts, in milliseconds; null: there were none. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
}

export interface Series {
  /** All points before this time are complete, and do not change. */
  readonly countedUntil: Date;
  readonly periodMs: number;
  /** Oldest first, without gaps. */
  readonly points: readonly SeriesPoint[];
  /** The counts and latencies of all periods together. */
  readonly total: Omit<SeriesPoint, 'at'>;
}

interface CountRow {
  readonly at: Date;
  readonly accepted: number;
  readonly attempts: number;
  readonly succeeded: number;
  /** The attempts of each class of durations. */
  readonly classes: Readonly<Record<string, number>>;
}

const HOUR_MS = 3_600_000;

/** Counts of a subscription in its last hour, which no table has by the minute. It ends where all counts end. */
const MINUTES_OF_SUBSCRIPTION = (live: LiveHistory, recent: LiveHistory) => `
  with own as materialized (select id from posthorn.subscriptions where id = $4 and tenant = $2)
  select date_trunc('minute', a.at, 'UTC') as time, 0 as accepted, count(*) as attempts,
    count(*) filter (where a.status = 'success') as succeeded,
    array[width_bucket(a.duration_ms, '{${DURATION_CLASSES.join(',')}}'::integer[])::smallint] as duration_classes,
    array[count(*)] as duration_numbers
  from posthorn.delivery_attempts a
  where a.subscription_id = (select id from own) and a.at >= $3 and a.at < (select counted_until from posthorn.counting)
    and ${live.where('a.webhook_id')}
  group by 1, 5
  union all
  select date_trunc('minute', posthorn.uuidv7_time(d.webhook_id), 'UTC'), count(*), 0, 0, '{}', '{}'
  from posthorn.deliveries d
  where d.subscription_id = (select id from own) and d.webhook_id >= posthorn.uuidv7_floor($3)
    and d.webhook_id < (select posthorn.uuidv7_floor(counted_until) from posthorn.counting)
    and ${recent.where('d.webhook_id')}
  group by 1`;

const COUNTS = `accepted, ${ATTEMPTS} as attempts, success as succeeded, duration_classes, duration_numbers`;

const MINUTES_OF_TENANT = `
  select minute as time, ${COUNTS}
  from posthorn.counts_by_minute where tenant = $2 and minute >= $3`;

const HOURS = `
  select hour as time, ${COUNTS}
  from posthorn.counts_by_hour where tenant = $2 and subscription_id = $4 and hour >= $3`;

/**
 * Reads what happened to a tenant's webhooks in each period of a window that ends now. A subscription of another tenant
 * has no counts. The series of a subscription over 24 hours has periods of an hour.
 *
 * @param subscriptionId null: all subscriptions of the tenant.
 */
export async function readSeries(
  pool: pg.Pool,
  tenant: string,
  subscriptionId: number | null,
  window: SeriesWindow,
): Promise<Series> {
  const { periodMs, periods } = periodsOf(window, subscriptionId);
  const lastStart = Math.floor(Date.now() / periodMs) * periodMs;
  const firstStart = lastStart - (periods - 1) * periodMs;
  const since = new Date(firstStart);
  const values = [periodMs, tenant, since];
  const [source, ofWhat] =
    periodMs >= HOUR_MS
      ? [HOURS, [subscriptionId ?? 0]]
      : subscriptionId === null
        ? [MINUTES_OF_TENANT, []]
        : [
            MINUTES_OF_SUBSCRIPTION(
              await readLiveHistory(pool, since),
              historyIn([{ from: floorOf(since), below: await readEndOfHistory(pool) }]),
            ),
            [subscriptionId],
          ];
  // First, so that all before this time is in the counts that are read afterwards.
  const progress = await pool.query<{ counted_until: Date }>(
    'select counted_until from posthorn.counting',
  );
  const { rows } = await pool.query<CountRow>(
    `with counts as materialized (
       select date_bin($1::integer * interval '1 millisecond', time, timestamptz '2000-01-01Z') as at, c.*
       from (${source}) as c
     ), durations as materialized (
       select at, jsonb_object_agg(duration_class, number) as classes
       from (
         select at, duration_class, sum(number) as number
         from counts cross join lateral unnest(duration_classes, duration_numbers) as d (duration_class, number)
         group by 1, 2
       ) as sums
       group by 1
     ), totals as materialized (
       select at, sum(accepted)::bigint as accepted, sum(attempts)::bigint as attempts, sum(succeeded)::bigint as succeeded
       from counts
       group by 1
     )
     select t.*, coalesce(d.classes, '{}') as classes
     from totals t left join durations d using (at)`,
    [...values, ...ofWhat],
  );
  const byPeriod = Map.groupBy(rows, ({ at }) => at.getTime());
  return {
    countedUntil: progress.rows[0]?.counted_until ?? new Date(0),
    periodMs,
    points: Array.from({ length: periods }, (_, n) => {
      const start = firstStart + n * periodMs;
      return { at: new Date(start), ...sumOf(byPeriod.get(start) ?? []) };
    }),
    total: sumOf(rows.filter(({ at }) => at.getTime() >= firstStart)),
  };
}

function periodsOf(window: SeriesWindow, subscriptionId: number | null) {
  // Counts of subscriptions are by the hour, and their last hour is counted when it is asked for.
  if (window === '24h' && subscriptionId !== null) return { periods: 24, periodMs: HOUR_MS };
  return SERIES_WINDOWS[window];
}

function sumOf(counts: readonly CountRow[]): Omit<SeriesPoint, 'at'> {
  const sum = (numberOf: (row: CountRow) => number) =>
    counts.reduce((total, row) => total + numberOf(row), 0);
  const attempts = sum((row) => row.attempts);
  const succeeded = sum((row) => row.succeeded);
  const classes = Array.from({ length: DURATION_CLASSES.length + 1 }, (_, n) =>
    sum((row) => row.classes[n] ?? 0),
  );
  return {
    accepted: sum((row) => row.accepted),
    attempts,
    succeeded,
    failed: attempts - succeeded,
    p50: percentile(classes, 0.5),
    p95: percentile(classes, 0.95),
    p99: percentile(classes, 0.99),
  };
}

/**
 * Returns a percentile of durations that are known by their classes, as if the durations of a class were spread evenly
 * over it. The result is in the class of the exact percentile. In the last class, which has no upper bound, it is the
 * lower bound.
 *
 * @param classes the number of durations in each class.
 * @param fraction from 0 to 1.
 * @returns milliseconds, or null if there are no durations.
 */
export function percentile(classes: readonly number[], fraction: number): number | null {
  const total = classes.reduce((sum, number) => sum + number, 0);
  if (total === 0) return null;
  const rank = fraction * total;
  let below = 0;
  for (const [n, number] of classes.entries()) {
    if (number > 0 && below + number >= rank) {
      const from = DURATION_CLASSES[n - 1] ?? 0;
      const until = DURATION_CLASSES[n] ?? from;
      return Math.round((from + ((until - from) * (rank - below)) / number) * 10) / 10;
    }
    below += number;
  }
  return DURATION_CLASSES.at(-1) ?? null;
}
