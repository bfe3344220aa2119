import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';
import { isAtStart } from '../db/planner.ts';
import type { SubscriptionStatus } from '../db/types.ts';
import { createParameters, microsecondsOf, momentOf } from '../history/scan.ts';

/** Failed attempts that are read for one answer, each with its delivery. */
const MAX_READ = 10_000;
/** Up to this many subscriptions, the failures of each are read. */
const MAX_EACH = 50;
/** With more subscriptions: those that fail now, and failed attempts that are read of each of them in any case. */
const MAX_FAILING = 200;
const READ_OF_FAILING = 50;
/** Unsuccessful deliveries of a subscription among which those that expired without an attempt are looked for. */
const MAX_EXPIRED = 200;
/** Held deliveries that are counted for a problem. */
const MAX_HELD = 1_000;
const DAY_MS = 86_400_000;

/** Failures of a subscription with one cause. */
export interface FoundProblem {
  readonly subscription_id: number;
  readonly subscription_url: string | null;
  readonly status: SubscriptionStatus;
  readonly circuit_open: boolean;
  /** No attempt has succeeded since several failed in a row. */
  readonly failing: boolean;
  /**
   * An error code; `expired`: without an attempt; `disabled`: before the window, and deliveries have been held since.
   */
  readonly error_code: string;
  /** The status of the answers, with the codes http_status and redirect. */
  readonly response_code: number | null;
  readonly since: Date;
  readonly last_at: Date;
  readonly attempts: number;
  readonly waiting: number;
  readonly failed: number;
  /** Held deliveries of the subscription, counted up to 1,000, in its newest problem; 0 in the others. */
  readonly held: number;
  readonly held_more: boolean;
  /** The oldest and the newest webhook whose delivery is not there yet. */
  readonly first_webhook: string;
  readonly last_webhook: string;
  /** When the oldest webhook whose delivery has failed was accepted. */
  readonly failed_since: Date | null;
  readonly error: string | null;
}

export interface ProblemFilter {
  readonly tenant: string;
  readonly subscriptionId: number | undefined;
  readonly windowMs: number;
}

export interface FoundProblems {
  readonly rows: readonly FoundProblem[];
  /** The end of the window in microseconds, `last_at` in microseconds, the subscription and the cause. */
  readonly next: readonly string[] | null;
  /** Null: all failures of the window were read. Otherwise all since this time, and some of the older ones. */
  readonly completeSince: Date | null;
}

/** What the statement returns beside each problem, or by itself. */
interface Beside {
  readonly complete_since: Date | null;
  readonly position: readonly string[];
}
interface NoProblem {
  readonly subscription_id: null;
}

const ATTEMPT =
  'a.subscription_id, a.webhook_id, a.attempt_number, a.at, a.error_code, a.response_code';

/**
 * Groups the failed attempts of a window by subscription and cause, and returns the groups with deliveries that have
 * not been delivered since, those that failed last first. All pages are about the window that ended when the first
 * page was read.
 *
 * The cost is bounded for any history: 10,000 failed attempts are read by index, each with its delivery. Of a tenant
 * with up to 50 subscriptions, these are the newest of each subscription. Otherwise they are the newest of all, and
 * in addition the newest of each subscription that fails now, so that one receiver with many failures hides no other.
 * *Measured*: 90 to 170 ms for 10,000, on a busy machine. To plan it takes 10 ms, so the plan of the first page of a day or
 * less is kept. Other windows have no name: they can be about any days, and a plan would be kept for each.
 *
 * @param pool with the planner settings `POOL_PLANS.lists`.
 * @param after the `next` of the page before.
 */
export async function findProblems(
  pool: pg.Pool,
  { tenant, subscriptionId, windowMs }: ProblemFilter,
  limit: number,
  after: readonly string[] | undefined,
): Promise<FoundProblems> {
  const few = subscriptionId === undefined ? await countFew(pool, tenant) : 1;
  const byEach = few <= MAX_EACH;
  const scan = byEach ? Math.floor(MAX_READ / Math.max(1, few)) : MAX_READ;
  const ended = after === undefined ? Date.now() : Number(after[0]) / 1000;
  // The statement takes the time of the database, whose clock may be another.
  const live = await readLiveHistory(pool, new Date(ended - windowMs - DAY_MS));
  const isUsual = after === undefined && windowMs <= DAY_MS;
  const plan = { named: (name: string) => (isUsual ? { name: `${name} ${live.key}` } : {}) };
  const p = createParameters();
  const [end, lastAt, lastSubscription, lastCause] = after ?? [];
  const owner = p.add(tenant, 'text');
  const until = end === undefined ? 'now()' : momentOf(p.add(end, 'bigint'));
  const from = `(select since from span)`;
  const to = `(select until from span)`;
  const inWindow = `a.status <> 'success' and a.at >= ${from} and a.at < ${to}
    and a.webhook_id <= (select newest from span) and ${live.where('a.webhook_id')}`;
  const only = byEach ? p.whereGiven(subscriptionId, 'integer', (id) => `s.id = ${id}`) : '';
  const newest = (also: string, most: string) =>
    `select ${ATTEMPT} from posthorn.delivery_attempts a where ${inWindow}${also} order by a.at desc limit ${most}`;
  const { rows } = await pool.query<(FoundProblem | NoProblem) & Beside>({
    ...plan.named(`problems ${byEach ? 'of each' : 'of all'}`),
    text: `
      with span as materialized (
        select until, until - ${p.add(windowMs, 'float8')} * interval '1 millisecond' as since,
          -- No attempt is older than its webhook. The minute allows for a different clock after a failover.
          posthorn.uuidv7_floor(until + interval '1 minute') as newest
        from (select ${until} as until) as u
      ), chosen as materialized (
        ${
          byEach
            ? `select s.id, $1::bigint as most from posthorn.subscriptions s
               where s.tenant = ${owner} and s.deleted_at is null and ${only}`
            : `select s.id, ${READ_OF_FAILING}::bigint as most
               from posthorn.circuits c
               join posthorn.subscriptions s on s.id = c.subscription_id
               where s.tenant = ${owner} and s.deleted_at is null
               order by c.last_failed_at desc
               limit ${MAX_FAILING}`
        }
      ), of_each as materialized (
        select a.*
        from chosen
        cross join lateral (${newest(' and a.subscription_id = chosen.id', 'chosen.most')}) as a
      ), of_all as materialized (
        ${byEach ? `select ${ATTEMPT} from posthorn.delivery_attempts a where false` : newest('', '$1')}
      ), limits as (
        select max(reached) as complete_since
        from (
          select min(at) as reached from of_each where ${byEach} group by subscription_id having count(*) >= $1
          union all
          select min(at) from of_all having count(*) >= $1
        ) as l
      ), failures as materialized (
        -- Of the same attempt, both rows are equal.
        select * from of_each
        union
        select a.* from of_all a join posthorn.subscriptions s on s.id = a.subscription_id
        where s.tenant = ${owner} and s.deleted_at is null
        union all
        select d.subscription_id, d.webhook_id, d.attempt_count, d.ended_at, 'expired', null
        from chosen
        cross join lateral (
          select * from posthorn.deliveries d
          where ${isAtStart('d.subscription_id', 'chosen.id')} and d.state in ('failed', 'cancelled') and d.webhook_id <= (select newest from span)
            and ${live.where('d.webhook_id')}
          order by d.subscription_id desc, d.webhook_id desc
          limit ${MAX_EXPIRED}
        ) as d
        where d.reason = 'expired' and d.attempt_count = 0 and d.ended_at >= ${from} and d.ended_at < ${to}
        union all
        -- It was disabled before the window, and gets no attempts.
        select s.id, h.webhook_id, null, s.status_changed_at, 'disabled', null
        from chosen
        join posthorn.subscriptions s on s.id = chosen.id and s.status = 'disabled' and s.status_changed_at < ${from}
        cross join lateral (
          select d.webhook_id from posthorn.deliveries d
          where d.subscription_id = s.id and d.state = 'held' and ${live.where('d.webhook_id')}
          order by d.webhook_id desc
          limit 1
        ) as h
      ), grouped as (
        select f.subscription_id, coalesce(f.error_code, 'other') as error_code,
          case when f.error_code in ('http_status', 'redirect') then f.response_code end as response_code,
          min(f.at) as since, max(f.at) as last_at,
          count(*) filter (where f.error_code not in ('expired', 'disabled'))::integer as attempts,
          count(*) filter (where d.state = 'pending')::integer as waiting,
          count(*) filter (where d.state = 'failed')::integer as failed,
          count(*) filter (where d.state = 'held')::integer as held_after,
          min(d.webhook_id::text collate "C") filter (where d.state in ('pending', 'held', 'failed')) as first_webhook,
          max(d.webhook_id::text collate "C") filter (where d.state in ('pending', 'held', 'failed')) as last_webhook,
          min(d.webhook_id::text collate "C") filter (where d.state = 'failed') as first_failed,
          max(f.webhook_id::text collate "C") as any_webhook,
          (array_agg(f.webhook_id order by f.at desc))[1] as newest_webhook,
          (array_agg(f.attempt_number order by f.at desc))[1] as newest_number
        from failures f
        -- Only the last attempt of a delivery says where it stands.
        left join posthorn.deliveries d on d.webhook_id = f.webhook_id and d.subscription_id = f.subscription_id
          and d.attempt_count = f.attempt_number and ${live.where('d.webhook_id')}
        group by 1, 2, 3
      ), ranked as (
        select g.*, row_number() over (partition by g.subscription_id order by g.last_at desc, g.error_code) = 1 as is_newest
        from grouped g
      ), problems as (
        select r.*, s.url as subscription_url, s.status, s.circuit_open, c.failing_since,
          concat_ws('_', r.error_code, r.response_code) as cause
        from ranked r
        join posthorn.subscriptions s on s.id = r.subscription_id
        left join posthorn.circuits c on c.subscription_id = r.subscription_id
        where r.waiting + r.failed + r.held_after > 0
          or r.is_newest and (c.opened_at is not null or s.status = 'disabled')
      )
      select p.subscription_id, p.subscription_url, p.status, p.circuit_open, p.failing_since is not null as failing,
        p.error_code, p.response_code,
        case when p.is_newest then least(p.since, p.failing_since) else p.since end as since,
        p.last_at, p.attempts, p.waiting, p.failed,
        least(coalesce(held.counted, 0), ${MAX_HELD})::integer as held, coalesce(held.counted > ${MAX_HELD}, false) as held_more,
        coalesce(p.first_webhook, p.any_webhook) as first_webhook, coalesce(p.last_webhook, p.any_webhook) as last_webhook,
        posthorn.uuidv7_time(p.first_failed::uuid) as failed_since,
        (select a.error from posthorn.delivery_attempts a
          where a.webhook_id = p.newest_webhook and a.subscription_id = p.subscription_id
            and a.attempt_number = p.newest_number and ${live.where('a.webhook_id')}) as error,
        l.complete_since,
        array[${microsecondsOf(to)}, ${microsecondsOf('p.last_at')}, p.subscription_id::text, p.cause] as position
      from limits l
      left join problems p on ${
        lastAt === undefined
          ? 'true'
          : `(${microsecondsOf('p.last_at')}::bigint * -1, p.subscription_id, p.cause)
             > (${p.add(lastAt, 'bigint')} * -1, ${p.add(lastSubscription, 'integer')}, ${p.add(lastCause, 'text')})`
      }
      left join lateral (
        select count(*) as counted from (
          select from posthorn.deliveries d
          where p.is_newest and d.subscription_id = p.subscription_id and d.state = 'held'
            and ${live.where('d.webhook_id')}
          order by d.webhook_id
          limit ${MAX_HELD + 1}
        ) as counted_up_to
      ) as held on true
      order by p.last_at desc, p.subscription_id, p.cause
      limit $${p.values.length + 2}`,
    values: [scan, ...p.values, limit + 1],
  });
  const found = rows.filter((row): row is FoundProblem & Beside => row.subscription_id !== null);
  const page = found.slice(0, limit);
  return {
    rows: page.map(({ complete_since, position, ...row }) => row),
    next: found.length > limit ? (page.at(-1)?.position ?? null) : null,
    completeSince: rows[0]?.complete_since ?? null,
  };
}

/** Counts the subscriptions of a tenant, deleted ones too, up to one more than `MAX_EACH`. */
async function countFew(pool: pg.Pool, tenant: string): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count
     from (select from posthorn.subscriptions where tenant = $1 limit ${MAX_EACH + 1}) as own`,
    [tenant],
  );
  return rows[0]?.count ?? 0;
}
