import type pg from 'pg';
import { OWNER_NAMES } from '../backlog/ownership.sql.ts';
import { LOCK_SPACE } from '../db/advisory-locks.ts';
import { TIMEOUT_MS } from '../db/pool.ts';
import { HAND_OVER_NAMES } from '../deliveries/handed-over.sql.ts';

export const BEAT_EVERY_MS = 5_000;
/**
 * A notification on it makes every worker send a beat at once. Its payload is a question: an id, a space and a tenant. A
 * worker forgets what it has cached of the tenant's subscriptions, then counts its attempts under way, and writes both the
 * id and the count to its rows. So no attempt that began by an older state of a subscription is missing there.
 */
export const BEAT_CHANNEL = 'posthorn_beats';
/** The third worker and further ones beat half as often: two find dead workers within five seconds, whichever of them dies. */
export const SPARE_PACE = 2;
/**
 * A process that has not renewed its lease for this long is taken for dead although its session still
 * exists: it is frozen, or Postgres has not noticed that packets to it are dropped.
 */
export const LEASE_SECONDS = 30;
/**
 * The row of a worker that deliveries are handed over to stays for so long after its last sign of life. If the process
 * was killed while Postgres ran its statement, webhooks are committed after it was found dead. It stays longer while a
 * transaction is open that began to write before: posthorn.send may have handed a webhook over in it.
 */
const LATE_COMMIT_MS = SPARE_PACE * BEAT_EVERY_MS + 2 * TIMEOUT_MS;
/** The database's clock was set forward if it went so much more than this process's in the same time. */
const STEP_MS = 10_000;

/**
 * SQL condition on a row of posthorn.workers: $1 are this process's own rows, $2 tells that none may be taken for
 * dead, and $4 that silence counts as death.
 */
const IS_DEAD = `not $2 and not w.pool_id = any($1)
            and ($4 and not exists (select from step where ms > ${STEP_MS})
                and w.seen_at < clock_timestamp() - interval '${LEASE_SECONDS} seconds'
              or not exists (
                select from pg_catalog.pg_locks l
                where l.locktype = 'advisory' and l.granted
                  and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
                  and l.classid = ${LOCK_SPACE} and l.objid = w.id::oid and l.objsubid = 2))`;

/** SQL condition on a row of posthorn.workers: it is that of a queue, of which a process has one. */
const IS_QUEUE = `pool_id not like '${HAND_OVER_NAMES}' and pool_id not like '${OWNER_NAMES}%'`;

/** The options of `sendBeat`. */
export interface BeatOptions {
  /** The pools of this process. */
  readonly poolIds: readonly string[];
  /** True: no worker may be taken for dead. */
  readonly renewOnly: boolean;
  /** Attempts under way by subscription, as JSON; null: there are none. */
  readonly inFlight: string | null;
  /** The ids of the latest questions that were heard before these attempts were counted. */
  readonly answered: readonly string[];
  /** True: a worker that was silent for `LEASE_SECONDS` is dead. */
  readonly silenceCounts: boolean;
  /** The time since the beat before, by the clock of this process. */
  readonly sinceMs: number;
}

/** The answer to a beat. An array without entries is null. */
export interface Beat {
  /** Dead pools whose jobs were freed. */
  readonly pools: number;
  /** Dead pools that deliveries were handed over to. Their rows stay until no statement of theirs can be committed. */
  readonly leaving: readonly string[] | null;
  /** Those of them for which that time is over. */
  readonly left: readonly string[] | null;
  /** The pools of this process that are still registered. */
  readonly mine: readonly string[] | null;
  /** How far the database's clock was set forward; null: it was not. */
  readonly stepped_ms: number | null;
  /** Worker processes that are older than this one. */
  readonly older: number;
}

/** Renews the leases of this process, and frees the jobs of dead workers. */
export async function sendBeat(
  pool: pg.Pool,
  { poolIds, renewOnly, inFlight, answered, silenceCounts, sinceMs }: BeatOptions,
): Promise<Beat> {
  const { rows } = await pool.query<Beat>({
    name: 'beat',
    text: `
        with step as materialized (
          select (extract(epoch from clock_timestamp() - seen_at) * 1000 - $5)::float8 as ms
          from posthorn.workers
          where pool_id = ($1::text[])[1]
        ), mine as (
          update posthorn.workers
          set seen_at = clock_timestamp(), in_flight = $3::jsonb, answered = $6
          where pool_id = any($1)
          returning pool_id
        ), dead as (
          delete from posthorn.workers w
          where ${IS_DEAD} and w.pool_id not like '${HAND_OVER_NAMES}'
          returning pool_id
        ), leaving as materialized (
          -- They are deleted when their deliveries have jobs.
          select pool_id, posthorn.uuidv7_floor(w.seen_at + interval '${LATE_COMMIT_MS} milliseconds')
              <= posthorn.committed_before() as is_over
          from posthorn.workers w where ${IS_DEAD} and w.pool_id like '${HAND_OVER_NAMES}'
        ), freed as (
          select graphile_worker.force_unlock_workers(array_agg(pool_id)) from dead having count(*) > 0
        )
        select (select count(*) from dead)::integer as pools,
          (select array_agg(pool_id) from leaving) as leaving,
          (select array_agg(pool_id) from leaving where is_over) as left,
          (select array_agg(pool_id) from mine) as mine,
          (select ms from step where ms > ${STEP_MS}) as stepped_ms,
          (
            select count(*)::integer from posthorn.workers
            where ${IS_QUEUE} and pool_id not in (select pool_id from dead)
              and id < (select min(id) from posthorn.workers where ${IS_QUEUE} and pool_id = any($1))
          ) as older,
          (select count(*) from freed) as freed`,
    values: [poolIds, renewOnly, inFlight, silenceCounts, sinceMs, answered],
  });
  return rows[0] as Beat;
}
