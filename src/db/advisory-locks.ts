/**
 * The keys of all advisory locks that Posthorn takes. Another application in the same database may take
 * advisory locks too; it must not use these keys.
 *
 * A lock of two keys has `LOCK_SPACE` as its first key. The second key of a worker's lock is the worker's
 * id, which is positive. Those of the other locks are zero and below, so that they equal no worker's.
 */
export const LOCK_SPACE = 1_347_637_332;

/**
 * The first key of the lock of each worker that takes webhooks from SQL (queue/offer.ts). The second one is the number
 * that `deliveries.handed_to` has. The SQL function store_webhook tries it.
 */
export const TAKING_SPACE = LOCK_SPACE + 1;

const ofSpace = (second: number): string => `${LOCK_SPACE}, ${second}`;

/** Locks of two keys, as SQL: the arguments of `pg_advisory_xact_lock` and its kin. */
export const LOCKS = {
  /** Taken by the SQL function ensure_partitions while it creates partitions. */
  partitions: ofSpace(0),
  /** Tried by deliveries/wake.sql.ts: one process at a time adds missing jobs. */
  wake: ofSpace(-1),
  /** Shared by the SQL function reopen, and exclusive in maintenance/erase-bodies.ts, which erases bodies. */
  bodies: ofSpace(-2),
  /** Tried by deliveries/expire.sql.ts: one process at a time expires held deliveries. */
  expire: ofSpace(-3),
  /** Tried by backlog/ownership.sql.ts: one process at a time looks for backlogs that nobody reported. */
  sweep: ofSpace(-4),
  /** Tried by maintenance/retention.ts: one process at a time drops partitions. */
  retention: ofSpace(-5),
  /**
   * Shared by the processes that have to be notified of jobs (queue/wake-ups.ts). The SQL function add_deliver_jobs tries
   * it, and notifies nobody if nobody holds it.
   */
  listening: ofSpace(-7),
  /** Shared by the workers that take webhooks from SQL, beside a lock for each. Senders look for a worker if it is held. */
  taking: ofSpace(-8),
  /** Taken by the SQL function write_live_views. */
  liveViews: ofSpace(-9),
  /** Tried by metrics/reporter.ts: one process reports the figures of the database in its metrics. */
  report: ofSpace(-6),
} as const;

/** A lock with a single key. db/migrate.ts and the script of `posthorn migrate --sql` hold it, so that processes which start together migrate one after another. */
export const MIGRATION_LOCK = 7_823_114_600_517;

/**
 * A lock with a single key. db/embedded/postgres.ts holds it while it uses a data folder, in addition to the lock of the
 * folder. It also keeps out a Posthorn in another container, whose process this one cannot see.
 */
export const INSTANCE_LOCK = 7_823_114_600_518;

// The SQL function claim_idempotency_keys and placement/moves.sql.ts take locks of one key too: a hash of the idempotency
// key, and of the tenant that is moved, with LOCK_SPACE as the seed. A hash of 64 bits does not meet the keys above by chance.
