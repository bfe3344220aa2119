import { hostname } from 'node:os';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Session } from '../db/session.ts';
import { errorMessage } from '../lib/errors.ts';

/** First key of the advisory locks; the second is the worker's id. See migrations/0001_first.sql. */
const LOCK_SPACE = 1_347_637_332;
const RESCUE_EVERY_MS = 5_000;

export interface Presence {
  /** Makes this pool known as alive. Until it resolves, the pool should take no jobs. */
  register(poolId: string): Promise<void>;
  /** Frees the jobs of pools whose process has gone. Returns how many pools there were. */
  rescue(): Promise<number>;
  start(): void;
  /** Ends this process's pool in good order: what it still holds is freed. */
  stop(): Promise<void>;
}

/**
 * Knows which worker processes are alive, by their database sessions: each holds an advisory lock,
 * and Postgres lets go of it when the session ends, by whatever death. graphile-worker itself frees
 * the jobs of a killed process only after four hours.
 *
 * @param session must be given here before it is started.
 */
export function createPresence(pool: pg.Pool, session: Session, log: Logger): Presence {
  let poolId: string | undefined;
  let client: pg.Client | undefined;
  let timer: NodeJS.Timeout | undefined;

  session.onConnect(async (connected) => {
    client = connected;
    if (poolId !== undefined) await announce(connected, poolId);
  });
  session.onLost(() => {
    client = undefined;
  });

  async function announce(connected: pg.Client, id: string): Promise<void> {
    // A new number each time: the session that was lost may hold the old lock a little longer, and
    // its end would then look like ours. Locked before it is written down, or it would seem dead.
    await connected.query(
      `with mine as materialized (
         select nextval(pg_get_serial_sequence('posthorn.workers', 'id'))::integer as id
       ), locked as materialized (
         select id, pg_advisory_lock(${LOCK_SPACE}, id) from mine
       )
       insert into posthorn.workers (id, pool_id, host, pid)
       select id, $1, $2, $3 from locked
       on conflict (pool_id) do update set id = excluded.id`,
      [id, hostname(), process.pid],
    );
  }

  async function rescue(): Promise<number> {
    const { rows } = await pool.query<{ pools: number }>({
      name: 'rescue',
      text: `
        with dead as (
          delete from posthorn.workers w
          where not exists (
            select from pg_catalog.pg_locks l
            where l.locktype = 'advisory' and l.granted
              and l.database = (select oid from pg_catalog.pg_database where datname = current_database())
              and l.classid = ${LOCK_SPACE} and l.objid = w.id::oid and l.objsubid = 2)
          returning pool_id
        ), freed as (
          select graphile_worker.force_unlock_workers(array_agg(pool_id)) from dead having count(*) > 0
        )
        select (select count(*) from dead)::integer as pools, (select count(*) from freed) as freed`,
    });
    return rows[0]?.pools ?? 0;
  }

  function rescueLater(): void {
    timer = setTimeout(async () => {
      try {
        const pools = await rescue();
        if (pools > 0) log.warn({ pools }, 'freed the jobs of workers that are gone');
      } catch (error) {
        log.debug({ reason: errorMessage(error) }, 'looking for workers that are gone failed');
      }
      if (timer !== undefined) rescueLater();
    }, RESCUE_EVERY_MS);
    timer.unref();
  }

  return {
    async register(id) {
      poolId = id;
      // Without a session now, the next one announces it.
      if (client !== undefined) await announce(client, id);
    },
    rescue,
    start: rescueLater,
    async stop() {
      clearTimeout(timer);
      timer = undefined;
      const ended = poolId;
      poolId = undefined;
      if (ended === undefined) return;
      await pool.query(
        `with gone as (delete from posthorn.workers where pool_id = $1)
         select graphile_worker.force_unlock_workers(array[$1::text])`,
        [ended],
      );
    },
  };
}
