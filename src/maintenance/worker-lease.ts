import { hostname } from 'node:os';
import type pg from 'pg';
import type { Logger } from 'pino';
import { LOCK_SPACE } from '../db/advisory-locks.ts';
import type { Session } from '../db/session.ts';
import { handOverNumbers, requeueHandedOver } from '../deliveries/handed-over.sql.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createPeriodic } from '../lib/periodic.ts';
import {
  BEAT_CHANNEL,
  BEAT_EVERY_MS,
  LEASE_SECONDS,
  SPARE_PACE,
  sendBeat,
} from './worker-beat.sql.ts';

/** Clocks need not run equally fast. */
const LEASE_MARGIN_MS = 1_000;
/**
 * A worker that has just reconnected waits this long before it looks for dead ones. After a restart of
 * Postgres all sessions are gone, and every worker would look dead to the first one that reconnects.
 */
const SETTLED_MS = 3_000;
const AWAY_MS = 4 * BEAT_EVERY_MS;
/** After such a step, all workers have renewed their leases by the new clock within this time. */
const STEP_SETTLED_MS = 4 * BEAT_EVERY_MS;
/** More may be asked at the same time. Then some ask again until their turn comes. */
const MAX_ANSWERED = 16;

export interface Presence {
  /**
   * Registers a pool as alive, once there is a session. Until it resolves, the pool should take no jobs.
   * Rejects when the pool is retired before.
   */
  register(poolId: string): Promise<void>;
  /** Ends a pool of this process: the jobs that it still holds are freed. */
  retire(poolId: string): Promise<void>;
  /**
   * Leaves the row of a pool to other workers when this process stops: a statement of the pool may still be
   * committed. They find it as that of a killed process.
   */
  leaveBehind(poolId: string): void;
  /** Frees the jobs of dead pools. Returns how many pools there were. */
  rescue(): Promise<number>;
  start(): void;
  /** Retires all pools of this process, except that rows that are left behind stay. */
  stop(): Promise<void>;
  /**
   * How long until another worker may take this process for dead; 0 when one may have done so already.
   * Its clock runs on while the process is frozen, so that the process notices afterwards.
   */
  readonly leaseLeftMs: number;
  /**
   * Returns a function that tells whether what this process has now is still its own: no other worker can have taken
   * this process for dead since. It says no for good once one has; before this process knows, it says no when the
   * time of the lease is over.
   */
  claim(): () => boolean;
  /** Adds a listener for pools of this process that were taken for dead. Call it before `start`. */
  onTakenForDead(listener: (poolIds: readonly string[]) => void): void;
  /**
   * Adds a listener for the number of worker processes that are older than this one, as each beat finds it. Call it
   * before `start`. Until the first beat, it is not known.
   */
  onOlder(listener: (workers: number) => void): void;
  /** Adds a listener for dead workers whose jobs and backlogs were freed. Call it before `start`. */
  onFreed(listener: () => void): void;
}

/** The attempts of this process, as far as others may ask about them. */
export interface Attempts {
  /** Returns the attempts under way by subscription, which each beat writes to the worker's rows. */
  underWay(): [subscriptionId: number, attempts: number][];
  /** From now on, an attempt begins only by what the database says of the tenant's subscriptions now or later. */
  forget(tenant: string): void;
}

interface PendingRegistration {
  readonly poolId: string;
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
}

/**
 * Knows which worker processes are alive. Each holds an advisory lock on its database session, which
 * Postgres releases when the session ends for any reason; and each renews a lease every five or ten seconds,
 * for deaths that end no session. graphile-worker itself frees the jobs of a killed process only after
 * four hours.
 *
 * @param session must not be started yet.
 * @param loop told how the beats go.
 * @param attempts what others may ask of the attempts of this process.
 */
export function createPresence(
  pool: pg.Pool,
  session: Session,
  loop: Loop,
  log: Logger,
  attempts: Attempts = { underWay: () => [], forget: () => {} },
): Presence {
  const known = new Set<string>();
  const leftBehind = new Set<string>();
  let pending: PendingRegistration[] = [];
  let client: pg.Client | undefined;
  /** Resolves when no pool is being announced: the session's connection runs one statement at a time. */
  let announcing: Promise<unknown> = Promise.resolve();
  let aliveAt = performance.now();
  // The time before the statement that renewed the lease was sent. By both clocks: the monotonic one
  // stops while a virtual machine is paused, and the wall clock can be set.
  let renewedAt = { monotonic: performance.now(), wall: Date.now() };
  // When the database's clock was last seen to have been set.
  let steppedAt = Number.NEGATIVE_INFINITY;
  let timesTakenForDead = 0;
  const listeners: ((poolIds: readonly string[]) => void)[] = [];
  const freedListeners: (() => void)[] = [];
  const olderListeners: ((workers: number) => void)[] = [];

  session.onConnect(async (connected) => {
    const missing: string[] = [];
    for (const poolId of known) if (await announce(connected, poolId)) missing.push(poolId);
    // A registration stays pending until it is announced: if this session ends before, the next one
    // must find it. More may come while these are announced.
    for (let next = pending[0]; next !== undefined; next = pending[0]) {
      const { poolId, resolve } = next;
      await announce(connected, poolId);
      // It was retired meanwhile; its row is removed like that of a dead worker.
      if (!pending.includes(next)) continue;
      pending = pending.filter((registration) => registration !== next);
      known.add(poolId);
      resolve();
    }
    client = connected;
    if (missing.length === 0) return;
    // Others may have their jobs. If these pools stayed registered, the rest would never be freed.
    for (const poolId of missing) known.delete(poolId);
    await connected.query('delete from posthorn.workers where pool_id = any($1)', [missing]);
    takenForDead(missing);
  });
  session.onLost(() => {
    client = undefined;
  });
  // One at a time, because any role may notify, as often as it likes.
  let isAsked = false;
  let answered: readonly string[] = [];
  // Somebody waits to see that no attempt is under way, and asks again until then. If it fails, the periodic beat tells why.
  session.listen(BEAT_CHANNEL, async (question) => {
    if (isAsked) return;
    const [id, tenant] = question.split(' ');
    if (id !== undefined && tenant !== undefined && !answered.includes(id)) {
      attempts.forget(tenant);
      answered = [...answered, id].slice(-MAX_ANSWERED);
    }
    isAsked = true;
    await beat(true).catch(() => {});
    isAsked = false;
  });

  /** Writes the pool's row, one pool after the other. Returns whether there was none. */
  function announce(connected: pg.Client, id: string): Promise<boolean> {
    const announced = announcing.then(() => announceNow(connected, id));
    announcing = announced.catch(() => {});
    return announced;
  }

  async function announceNow(connected: pg.Client, id: string): Promise<boolean> {
    // A new id each time: the lost session may hold the old lock a little longer, and its end would look
    // like ours. The lock comes before the row, which would look dead without it.
    const { rows } = await connected.query<{ added: boolean }>(
      `with mine as materialized (
         select nextval(pg_get_serial_sequence('posthorn.workers', 'id'))::integer as id
       ), locked as materialized (
         select id, pg_advisory_lock(${LOCK_SPACE}, id) from mine
       )
       insert into posthorn.workers (id, pool_id, host, pid)
       select id, $1, $2, $3 from locked
       on conflict (pool_id) do update set id = excluded.id, seen_at = excluded.seen_at
       returning xmax = 0 as added`,
      [id, hostname(), process.pid],
    );
    return rows[0]?.added === true;
  }

  /** How long until other workers may take this process for dead because it is silent. */
  function untilTooSilentMs(): number {
    const { monotonic, wall } = renewedAt;
    const since = Math.max(performance.now() - monotonic, Date.now() - wall);
    return Math.max(0, LEASE_SECONDS * 1_000 - LEASE_MARGIN_MS - since);
  }

  function takenForDead(poolIds: readonly string[]): void {
    timesTakenForDead += 1;
    log.warn('this worker did not answer for long and was taken for dead; others have its jobs');
    for (const listener of listeners) listener(poolIds);
  }

  /** Renews the lease and, unless `renewOnly`, frees the jobs of dead workers. */
  async function beat(renewOnly: boolean): Promise<number> {
    const poolIds = [...known];
    const sentAt = { monotonic: performance.now(), wall: Date.now() };
    const sinceMs = sentAt.monotonic - renewedAt.monotonic;
    // Without a row of its own, a process cannot see such a step.
    const silenceCounts = poolIds.length > 0 && sentAt.monotonic - steppedAt > STEP_SETTLED_MS;
    const row = await sendBeat(pool, {
      poolIds,
      renewOnly,
      inFlight: inFlightAsJson(),
      answered,
      silenceCounts,
      sinceMs,
    });
    aliveAt = performance.now();
    renewedAt = sentAt;
    if (row.stepped_ms !== null) {
      steppedAt = performance.now();
      const seconds = Math.round(row.stepped_ms / 1_000);
      log.warn(
        { seconds },
        "the database's clock was set forward; no worker is taken for dead by it",
      );
    }
    const lost = poolIds.filter((id) => known.has(id) && !row.mine?.includes(id));
    if (lost.length > 0) {
      for (const id of lost) known.delete(id);
      takenForDead(lost);
    }
    const { older, pools, leaving, left } = row;
    beating.setPace(older < 2 ? 1 : SPARE_PACE);
    for (const listener of olderListeners) listener(older);
    if (pools > 0) for (const listener of freedListeners) listener();
    if (leaving !== null) await endHandOvers(leaving, left ?? []);
    return pools;
  }

  /** Adds jobs for the deliveries of workers that are gone. If that fails, the next beat does it. */
  async function endHandOvers(gone: readonly string[], over: readonly string[]): Promise<void> {
    const deliveries = await requeueHandedOver(pool, handOverNumbers(gone));
    if (deliveries > 0)
      log.warn({ deliveries }, 'added jobs for deliveries of workers that are gone');
    // Without marks, it is not known which transactions have ended while others are open.
    if (over.length < gone.length) await pool.query('select posthorn.mark_commits()');
    if (over.length > 0)
      await pool.query('delete from posthorn.workers where pool_id = any($1)', [over]);
  }

  function inFlightAsJson(): string | null {
    const open = attempts.underWay();
    return open.length === 0 ? null : JSON.stringify(Object.fromEntries(open));
  }

  const beating = createPeriodic({
    everyMs: BEAT_EVERY_MS,
    firstInMs: BEAT_EVERY_MS,
    loop,
    async run() {
      const away = performance.now() - aliveAt > AWAY_MS || session.connectedForMs < SETTLED_MS;
      const pools = await beat(away);
      if (pools > 0) log.warn({ pools }, 'freed the jobs of workers that are gone');
    },
  });

  async function retireAll(poolIds: readonly string[]): Promise<void> {
    for (const id of poolIds) known.delete(id);
    const retired = pending.filter(({ poolId }) => poolIds.includes(poolId));
    pending = pending.filter((registration) => !retired.includes(registration));
    for (const { poolId, reject } of retired)
      reject(new Error(`${poolId} was retired before it was known as alive`));
    await requeueHandedOver(pool, handOverNumbers(poolIds));
    await pool.query(
      `with gone as (delete from posthorn.workers where pool_id = any($2))
       select graphile_worker.force_unlock_workers($1::text[])`,
      [poolIds, poolIds.filter((id) => !leftBehind.has(id))],
    );
  }

  return {
    async register(poolId) {
      // The next session announces it.
      if (client === undefined) {
        await new Promise<void>((resolve, reject) => pending.push({ poolId, resolve, reject }));
        return;
      }
      await announce(client, poolId);
      known.add(poolId);
    },
    retire: (poolId) => retireAll([poolId]),
    leaveBehind: (poolId) => void leftBehind.add(poolId),
    rescue: () => beat(false),
    start: beating.start,
    async stop() {
      await beating.stop();
      if (known.size > 0) await retireAll([...known]);
    },
    get leaseLeftMs() {
      // While it has no session, its locks are gone.
      return client === undefined ? 0 : untilTooSilentMs();
    },
    claim() {
      const times = timesTakenForDead;
      return () => timesTakenForDead === times && untilTooSilentMs() > 0;
    },
    onTakenForDead: (listener) => void listeners.push(listener),
    onOlder: (listener) => void olderListeners.push(listener),
    onFreed: (listener) => void freedListeners.push(listener),
  };
}
