import type pg from 'pg';
import {
  historyIn,
  type LiveHistory,
  readEndOfHistory,
  readLiveHistory,
} from '../db/live-history.ts';
import { floorOf } from '../db/uuidv7.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';
import { ATTEMPTS } from './count-rows.sql.ts';
import { selectOwed } from './owed.sql.ts';
import { type Counted, readFromCounts } from './stats-from-counts.sql.ts';

/** Figures about the deliveries and attempts of a tenant, or of a subscription. */
export interface Stats {
  /** Webhooks accepted in the window; of a subscription: deliveries created in it. */
  readonly accepted: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly retrying: number;
  readonly attempts: number;
  /** Percentiles of the durations of attempts, in milliseconds: exact, or from the counts of their classes. */
  readonly p50: number | null;
  readonly p95: number | null;
  readonly p99: number | null;
  readonly queue_depth: number;
  readonly oldest_due_at: Date | null;
  readonly held: number;
}

const DAY_MS = 86_400_000;
/** With more attempts, the counts of minutes and hours are read instead of these. */
const MAX_ATTEMPTS = 10_000;

/** The deliveries and attempts that the figures are about. */
interface Scope {
  /** SQL that counts what was accepted. `$1` is the window in milliseconds, `$2` the tenant. */
  readonly accepted: (recent: LiveHistory) => string;
  /** SQL condition on the subscription of a delivery or an attempt. */
  readonly has: (subscription: string) => string;
}

const ALL: Scope = {
  accepted: ({ where }) =>
    `from posthorn.webhook_payloads where id >= (select since_id from bounds) and ${where('id')}`,
  has: () => 'true',
};

const OF_TENANT: Scope = {
  // The index by tenant leaves out the default tenant: without the second condition, a plan for any tenant cannot use it.
  accepted: (recent) => `${ALL.accepted(recent)} and tenant = $2 and tenant <> '${DEFAULT_TENANT}'`,
  has: (subscription) =>
    `${subscription} in (select id from posthorn.subscriptions where tenant = $2)`,
};

const OF_SUBSCRIPTION: Scope = {
  accepted: ({ where }) => `from posthorn.deliveries
    where webhook_id >= (select since_id from bounds) and ${where('webhook_id')}
      and subscription_id = (select id from posthorn.subscriptions where id = $3 and tenant = $2)`,
  has: (subscription) =>
    `${subscription} = (select id from posthorn.subscriptions where id = $3 and tenant = $2)`,
};

/**
 * Reads figures about the time from `windowMs` ago until now, and about the queue now. A subscription of another
 * tenant has none: everything is 0.
 *
 * The cost grows with the attempts of the window, up to 10,000, and with the failed and the unfinished deliveries. More
 * attempts are not read: they were counted before (stats-from-counts.sql.ts). The cost does not grow with the number of the
 * tenant's subscriptions: Postgres looks up the subscription of each row if that is cheaper than reading all of the
 * tenant's subscriptions. So the statement has no name, and is planned for its values each time. *Measured* with a million subscriptions of one tenant: a kept plan searched for the rows of each of them, for 20 s.
 *
 * @param subscriptionId null: all subscriptions of the tenant.
 */
export async function readStats(
  pool: pg.Pool,
  tenant: string,
  subscriptionId: number | null,
  windowMs: number,
): Promise<Stats> {
  const { rows } = await pool.query<Counted & { others: boolean; attempts: number }>(
    `select exists (select from posthorn.tenants where id <> $1) as others,
       counted_from::text as from, counted_until::text as until,
       (select coalesce(sum(${ATTEMPTS}), 0)::float8 from posthorn.counts_by_hour
         where tenant = $1 and subscription_id = $2 and hour >= now() - $3::float8 * interval '1 millisecond') as attempts
     from posthorn.counting`,
    [tenant, subscriptionId ?? 0, windowMs],
  );
  const { others, attempts, ...counted } = rows[0] as (typeof rows)[0];
  const scope = subscriptionId !== null ? OF_SUBSCRIPTION : others ? OF_TENANT : ALL;
  // The webhooks of the default tenant among those of others have no index.
  const isAmongOthers = scope === OF_TENANT && tenant === DEFAULT_TENANT;
  if (attempts > MAX_ATTEMPTS || isAmongOthers)
    return await readFromCounts(pool, tenant, subscriptionId, windowMs, others, counted);
  return await read(pool, scope, [
    windowMs,
    ...(scope === ALL ? [] : [tenant]),
    ...(subscriptionId === null ? [] : [subscriptionId]),
  ]);
}

async function read(
  pool: pg.Pool,
  { accepted, has }: Scope,
  [windowMs, ...others]: [number, ...unknown[]],
): Promise<Stats> {
  // The statement takes the time of the database, whose clock may be another.
  const since = new Date(Date.now() - windowMs - DAY_MS);
  const live = await readLiveHistory(pool, since);
  const recent = historyIn([{ from: floorOf(since), below: await readEndOfHistory(pool) }]);
  const { rows } = await pool.query<Stats>(
    `with bounds as materialized (
       select now() - $1::float8 * interval '1 millisecond' as since,
         posthorn.uuidv7_floor(now() - $1::float8 * interval '1 millisecond') as since_id
     ), attempts as (
       select
         count(*)::integer as attempts,
         count(*) filter (where a.status = 'success')::integer as succeeded,
         percentile_cont(array[0.5, 0.95, 0.99]) within group (order by a.duration_ms) as latency
       from posthorn.delivery_attempts a
       where a.at >= (select since from bounds) and ${live.where('a.webhook_id')} and ${has('a.subscription_id')}
     ), owed as (${selectOwed(live, has)})
     select
       (select count(*) ${accepted(recent)})::integer as accepted,
       attempts.succeeded,
       (select count(*) from posthorn.deliveries d
         where d.state = 'failed' and d.ended_at >= (select since from bounds)
           and ${live.where('d.webhook_id')} and ${has('d.subscription_id')})::integer as failed,
       owed.retrying,
       attempts.attempts,
       attempts.latency[1] as p50, attempts.latency[2] as p95, attempts.latency[3] as p99,
       owed.queue_depth,
       owed.oldest_due_at,
       owed.held
     from attempts, owed`,
    [windowMs, ...others],
  );
  return rows[0] as Stats;
}
