import type pg from 'pg';
import type { Logger } from 'pino';
import { errorMessage } from '../lib/errors.ts';
import { POOL_PLANS } from './planner.ts';
import { createPool } from './pool.ts';

/** A replica is asked for its age at most this often. */
const ASK_EVERY_MS = 1_000;
/** Rows that are older are not shown: the primary is read instead. */
const MAX_AGE_MS = 30_000;

/** The time of the last commit that the server has, because nothing says how much the primary has beyond it. */
const AGE = {
  name: 'replica_age',
  text: `select case when pg_is_in_recovery()
    then greatest(0, extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::float8
    else 0 end as age_ms`,
};

export interface ReplicaState {
  /** In milliseconds; infinity: it does not answer. */
  readonly ageMs: number;
  /** False: it is away or too old. */
  readonly readable: boolean;
}

/** A copy of the database that only reports are read from. */
export interface Replica {
  readonly pool: pg.Pool;
  /** Returns how old its rows may be, and whether it may be read. */
  state(): Promise<ReplicaState>;
  /** Must be called when a read failed: it is not read again until it answers. */
  failed(error: unknown): void;
}

interface ReplicaOptions {
  readonly url: string;
  readonly connections: number;
  readonly log: Logger;
}

/**
 * Connects to a replica when it is first read. Its age is the time since the last commit that it has: while nothing is
 * written, it grows although nothing is missing. A worker writes every five seconds that it is alive.
 */
export function createReplica({ url, connections, log }: ReplicaOptions): Replica {
  const pool = createPool({
    connectionString: url,
    purpose: 'reports',
    // One more connection, which asks for the age.
    max: connections + 1,
    settings: POOL_PLANS.lists,
    // A replica is asked for by naming it; several names may include the primary.
    target: 'any',
  });
  let isUsed = true;
  let asked: Promise<number> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;

  async function ask(): Promise<number> {
    try {
      const { rows } = await pool.query<{ age_ms: number | null }>(AGE);
      const ageMs = rows[0]?.age_ms ?? Number.POSITIVE_INFINITY;
      if (ageMs === Number.POSITIVE_INFINITY) leave('it has no commit yet');
      else if (ageMs > MAX_AGE_MS)
        leave(`its last commit is ${Math.round(ageMs / 1000)} seconds old`);
      else if (!isUsed) {
        isUsed = true;
        log.info('reports are read from the replica again');
      }
      return ageMs;
    } catch (error) {
      leave(errorMessage(error));
      return Number.POSITIVE_INFINITY;
    }
  }

  function leave(reason: string): void {
    if (isUsed) log.warn({ reason }, 'reports are read from the primary, not from the replica');
    isUsed = false;
  }

  return {
    pool,
    async state() {
      const now = performance.now();
      if (asked === undefined || now - askedAt > ASK_EVERY_MS) {
        askedAt = now;
        asked = ask();
      }
      const ageMs = await asked;
      return { ageMs, readable: ageMs <= MAX_AGE_MS };
    },
    failed(error) {
      leave(errorMessage(error));
      asked = Promise.resolve(Number.POSITIVE_INFINITY);
      askedAt = performance.now();
    },
  };
}
