import type pg from 'pg';
import { OWNER_NAMES } from '../backlog/ownership.sql.ts';
import { LOCK_SPACE } from '../db/advisory-locks.ts';
import type {
  AttemptStatus,
  DeliveryState,
  SubscriptionOrdering,
  SubscriptionStatus,
} from '../db/types.ts';
import { HAND_OVER_NAMES, handOverName } from '../deliveries/handed-over.sql.ts';
import { uuidConstant } from '../history/scan.ts';
import { LEASE_SECONDS } from '../maintenance/worker-beat.sql.ts';
import { type Queue, readQueue } from './queue.sql.ts';

/** What the database knows about a delivery and what it depends on, at one moment. */
export interface Facts {
  /** The time, by the database's clock. */
  readonly now: Date;
  readonly webhookId: string;
  readonly subscriptionId: number;
  readonly delivery: DeliveryFacts;
  readonly subscription: SubscriptionFacts;
  /** The record of its receiver's failures; null: it is well. */
  readonly circuit: CircuitFacts | null;
  /** The attempt that was recorded last. */
  readonly lastAttempt: LastAttempt | null;
  readonly workers: WorkerFacts;
  /** Its receiver has pulled it and not acknowledged it yet; null: it has not. */
  readonly lease: LeaseFacts | null;
  /** Its place among the held deliveries; null: it is not held. */
  readonly queue: Queue | null;
}

interface DeliveryFacts {
  readonly state: DeliveryState;
  /** Why it ended, if no attempt says so: expired, skipped. */
  readonly reason: string | null;
  readonly attemptCount: number;
  readonly probeCount: number;
  readonly scheduleOffset: number;
  /** When its next attempt is due; null: it has ended. */
  readonly dueAt: Date | null;
  readonly endedAt: Date | null;
  /** True: it has a job, or a worker has it in memory. */
  readonly queued: boolean;
  readonly acceptedAt: Date;
  readonly deliverAt: Date | null;
  readonly eventType: string | null;
  readonly orderingKey: string | null;
  readonly bodyExpired: boolean;
  /** It is one of the deliveries that its subscription skips just now. */
  readonly isSkipped: boolean;
}

interface SubscriptionFacts {
  readonly status: SubscriptionStatus;
  readonly statusReason: string | null;
  readonly statusChangedAt: Date | null;
  readonly deletedAt: Date | null;
  /** True: deliveries from before it was enabled are being cancelled. */
  readonly isSkipping: boolean;
  readonly throughBacklog: boolean;
  /** Its receiver pulls, and when it did so last; null: never. */
  readonly isPulled: boolean;
  readonly pulledAt: Date | null;
  readonly ordering: SubscriptionOrdering;
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | null;
  readonly maxInFlight: number | null;
  readonly retrySchedule: string | null;
}

interface LeaseFacts {
  readonly pulledAt: Date;
  readonly endsAt: Date;
}

interface CircuitFacts {
  readonly openedAt: Date | null;
  readonly failingSince: Date;
  readonly failures: number;
  readonly probeAt: Date | null;
  readonly lastErrorCode: string | null;
  readonly lastError: string | null;
  /** False: only the receiver's `Retry-After` has opened it. */
  readonly byFailures: boolean;
}

export interface LastAttempt {
  readonly number: number;
  readonly at: Date;
  readonly status: AttemptStatus;
  readonly responseCode: number | null;
  readonly errorCode: string | null;
  readonly error: string | null;
  readonly durationMs: number;
}

export interface WorkerFacts {
  /** The worker that has the delivery in memory; null: none, as far as the database knows. */
  readonly holder: Worker | null;
  /** How many living workers take jobs from the queue, and how many send held deliveries. */
  readonly ofQueue: number;
  readonly ofBacklogs: number;
  /** True: a living worker owns the backlog of the subscription. */
  readonly backlogOwned: boolean;
  /** Open requests to the receiver, of all workers; the figure is at most five seconds old. */
  readonly inFlight: number;
}

export interface Worker {
  /** Its number. No host or process: what a tenant reads says nothing about the machines. */
  readonly id: number;
  readonly alive: boolean;
}

/** The columns of the statement, with a prefix for each part of the facts. */
interface Row {
  readonly now: Date;
  readonly state: DeliveryState;
  readonly reason: string | null;
  readonly attempt_count: number;
  readonly probe_count: number;
  readonly schedule_offset: number;
  readonly due_at: Date | null;
  readonly ended_at: Date | null;
  readonly queued: boolean;
  readonly handed_to: number | null;
  readonly accepted_at: Date;
  readonly deliver_at: Date | null;
  readonly event_type: string | null;
  readonly ordering_key: string | null;
  readonly body_expired: boolean;
  readonly is_skipped: boolean;
  readonly status: SubscriptionStatus;
  readonly status_reason: string | null;
  readonly status_changed_at: Date | null;
  readonly deleted_at: Date | null;
  readonly is_skipping: boolean;
  readonly through_backlog: boolean;
  readonly ordering: SubscriptionOrdering;
  readonly rate_limit: number | null;
  readonly rate_limit_per_ms: number | null;
  readonly max_in_flight: number | null;
  readonly retry_schedule: string | null;
  readonly failing_since: Date | null;
  readonly failures: number;
  readonly opened_at: Date | null;
  readonly probe_at: Date | null;
  readonly last_error_code: string | null;
  readonly last_error: string | null;
  readonly by_failures: boolean;
  readonly attempt_number: number | null;
  readonly attempt_at: Date;
  readonly attempt_status: AttemptStatus;
  readonly response_code: number | null;
  readonly error_code: string | null;
  readonly error: string | null;
  readonly duration_ms: number;
  readonly backlog_owner: string | null;
  readonly is_pulled: boolean;
  readonly pulled_at: Date | null;
  readonly leased_at: Date | null;
  readonly ends_at: Date;
  readonly in_flight: number;
  readonly alive: readonly string[];
}

/** The beginning of the names of workers that deliveries are handed over to. */
const HAND_OVER = HAND_OVER_NAMES.slice(0, -1);

/** A row of `posthorn.workers` is that of a living worker if its lock is held and it was not silent for too long. */
const ALIVE = `w.seen_at > clock_timestamp() - interval '${LEASE_SECONDS} seconds'
  and w.id::oid = any (array(
    select l.objid from pg_catalog.pg_locks l
    where l.locktype = 'advisory' and l.granted and l.classid = ${LOCK_SPACE} and l.objsubid = 2
      and l.database = (select oid from pg_catalog.pg_database where datname = current_database())))`;

/**
 * Reads what the database knows about a delivery: its rows, found by their keys, and a row for each worker. For a held
 * delivery a second statement reads its place in the backlog (queue.sql.ts).
 *
 * @param pool with the planner settings `POOL_PLANS.lists`.
 * @returns undefined when the tenant has no such delivery.
 */
export async function readFacts(
  pool: pg.Pool,
  tenant: string,
  webhookId: string,
  subscriptionId: number,
): Promise<Facts | undefined> {
  const id = uuidConstant(webhookId);
  const { rows } = await pool.query<Row>(
    `select now(), d.state, d.reason, d.attempt_count, d.probe_count,
       coalesce(d.schedule_offset, 0) as schedule_offset, d.next_attempt_at as due_at, d.ended_at, d.queued, d.handed_to,
       p.accepted_at, p.deliver_at, p.event_type, p.ordering_key, p.body is null as body_expired,
       s.skip_until is not null and d.webhook_id <= s.skip_until
         and (d.next_attempt_at <= now() or d.attempt_count > 0) as is_skipped,
       s.status, s.status_reason, s.status_changed_at, s.deleted_at, s.skip_until is not null as is_skipping,
       s.through_backlog, s.ordering, s.rate_limit, s.rate_limit_per_ms, s.max_in_flight, s.retry_schedule,
       c.failing_since, coalesce(c.failures, 0) as failures, c.opened_at, c.probe_at, c.last_error_code, c.last_error,
       c.told_at is not null as by_failures,
       a.attempt_number, a.at as attempt_at, a.status as attempt_status, a.response_code, a.error_code, a.error,
       a.duration_ms,
       b.owner as backlog_owner, s.url is null as is_pulled, b.pulled_at, l.leased_at, l.ends_at,
       (select coalesce(sum(p.attempts), 0)::integer from (
         select max((w.in_flight ->> s.id::text)::integer) as attempts
         from posthorn.workers w where w.in_flight ? s.id::text group by w.host, w.pid) as p) as in_flight,
       (select coalesce(array_agg(w.pool_id), '{}') from posthorn.workers w where ${ALIVE}) as alive
     from posthorn.deliveries d
     join posthorn.subscriptions s on s.id = d.subscription_id
     join posthorn.webhook_payloads p on p.id = ${id}
     left join posthorn.circuits c on c.subscription_id = d.subscription_id
     left join posthorn.backlogs b on b.subscription_id = d.subscription_id
     left join posthorn.leases l on l.subscription_id = d.subscription_id and l.webhook_id = ${id}
     left join posthorn.delivery_attempts a on a.webhook_id = ${id} and a.subscription_id = d.subscription_id
       and a.attempt_number = d.attempt_count
     where d.webhook_id = ${id} and d.subscription_id = $1 and s.tenant = $2`,
    [subscriptionId, tenant],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const queue =
    row.state === 'held'
      ? await readQueue(
          pool,
          webhookId,
          subscriptionId,
          row.ordering === 'strict',
          row.ordering_key,
        )
      : null;
  return factsOf(row, webhookId, subscriptionId, queue);
}

function factsOf(row: Row, webhookId: string, subscriptionId: number, queue: Queue | null): Facts {
  const { rate_limit, rate_limit_per_ms, failing_since, attempt_number } = row;
  return {
    now: row.now,
    webhookId,
    subscriptionId,
    delivery: {
      state: row.state,
      reason: row.reason,
      attemptCount: row.attempt_count,
      probeCount: row.probe_count,
      scheduleOffset: row.schedule_offset,
      dueAt: row.due_at,
      endedAt: row.ended_at,
      queued: row.queued,
      acceptedAt: row.accepted_at,
      deliverAt: row.deliver_at,
      eventType: row.event_type,
      orderingKey: row.ordering_key,
      bodyExpired: row.body_expired,
      isSkipped: row.is_skipped,
    },
    subscription: {
      status: row.status,
      statusReason: row.status_reason,
      statusChangedAt: row.status_changed_at,
      deletedAt: row.deleted_at,
      isSkipping: row.is_skipping,
      throughBacklog: row.through_backlog,
      isPulled: row.is_pulled,
      pulledAt: row.pulled_at,
      ordering: row.ordering,
      rateLimit:
        rate_limit === null || rate_limit_per_ms === null
          ? null
          : { limit: rate_limit, perMs: rate_limit_per_ms },
      maxInFlight: row.max_in_flight,
      retrySchedule: row.retry_schedule,
    },
    circuit:
      failing_since === null
        ? null
        : {
            openedAt: row.opened_at,
            failingSince: failing_since,
            failures: row.failures,
            probeAt: row.probe_at,
            lastErrorCode: row.last_error_code,
            lastError: row.last_error,
            byFailures: row.by_failures,
          },
    lastAttempt:
      attempt_number === null
        ? null
        : {
            number: attempt_number,
            at: row.attempt_at,
            status: row.attempt_status,
            responseCode: row.response_code,
            errorCode: row.error_code,
            error: row.error,
            durationMs: row.duration_ms,
          },
    workers: workersOf(row),
    lease: row.leased_at === null ? null : { pulledAt: row.leased_at, endsAt: row.ends_at },
    queue,
  };
}

function workersOf(row: Row): WorkerFacts {
  const { alive, backlog_owner, in_flight } = row;
  // Only for the first attempt. It stays in the row after that.
  const handed_to = row.attempt_count === 0 ? row.handed_to : null;
  const ofBacklogs = alive.filter((name) => name.startsWith(OWNER_NAMES));
  return {
    holder:
      handed_to === null
        ? null
        : {
            id: handed_to,
            alive: alive.includes(handOverName(handed_to)),
          },
    ofQueue: alive.filter((name) => !name.startsWith(OWNER_NAMES) && !name.startsWith(HAND_OVER))
      .length,
    ofBacklogs: ofBacklogs.length,
    backlogOwned: backlog_owner !== null && alive.includes(backlog_owner),
    inFlight: in_flight,
  };
}
