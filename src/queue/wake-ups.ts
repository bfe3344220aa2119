import type pg from 'pg';
import { LOCKS } from '../db/advisory-locks.ts';
import type { Session } from '../db/session.ts';
import type { Taker } from '../sending/hand-over.ts';
import { createOffer } from './offer.ts';

/** The time over which fetches are counted. */
const MEASURE_MS = 500;
/** From so many fetches in this time on, it is worth to look whether senders wait for each other. */
const BUSY_FETCHES = 10;
/** So many sessions that wait for the lock of notifications mean that notifying costs more than polling. */
const MANY_WAITING = 8;
/** Fewer mean it if they wait in several measurements, one after the other. */
const SOME_WAITING = 2;
/**
 * *Measured* at 200 a second from 8 sessions, on a machine that was busy with other work: many single measurements find
 * some that wait, and polling gains nothing then.
 */
const CONTENDED_TIMES = 4;
/** Below so many jobs in this time, a notification for each costs little. */
const QUIET_JOBS = 50;
/** Senders that are many are tried after this time, and twice as late after each try that found them waiting at once. */
const POLL_MIN_MS = 4_000;
const POLL_MAX_MS = 60_000;

/**
 * - `off`: no session has been connected yet, or a pooler gives none. Nobody is notified then anyway.
 * - `listening`: this process holds the lock, and senders notify it.
 * - `settling`: the same, but senders that found the lock free may commit just now.
 * - `polling`: many sessions send at once, and wait for each other. Without the lock, they notify nobody.
 * - `lost`: the session is away, or the lock could not be taken.
 */
type Mode = 'off' | 'listening' | 'settling' | 'polling' | 'lost';

/** How often the queue is polled in a mode, beside its own poll every few seconds. */
const POLL_MS: Readonly<Record<Mode, number | undefined>> = {
  off: undefined,
  listening: undefined,
  settling: 50,
  polling: 10,
  lost: 250,
};

/** Sessions that wait for the lock that Postgres takes on all databases at the commit of a notification. */
const COUNT_WAITING = `
  select count(*)::integer as waiting from pg_catalog.pg_locks
  where not granted and locktype = 'object' and database = 0
    and classid = 'pg_catalog.pg_database'::regclass and objid = 0`;

export interface WakeUpsOptions {
  readonly session: Pick<Session, 'listen' | 'onConnect' | 'onLost'>;
  /** Takes webhooks without a job, while senders notify this process. */
  readonly taker: Taker;
  /** Looks for jobs now. */
  readonly poll: () => void;
  /** Told how taking and giving back the lock goes. */
  readonly report: { succeeded(): void; failed(error: unknown): void };
}

export interface WakeUps {
  /** Must be called after each fetch, with the number of jobs that it found. */
  fetched(jobs: number): void;
  stop(): void;
}

/**
 * Decides whether senders wake this process for each webhook, or it polls the queue often.
 *
 * A notification takes a lock on the whole of Postgres until its transaction is on the disk, so transactions that
 * notify commit one after the other: *measured* with 64 clients that call posthorn.send, 170 to 230 a second,
 * instead of 1,400 without notifications. So a process that has to be woken holds an advisory lock, shared with
 * the others like it. The SQL function add_deliver_jobs notifies only if somebody holds it. A process gives it back
 * while senders wait for each other, and polls every 10 ms instead. If it ends for any reason, its lock ends too.
 * While it is notified, it may take webhooks that have no job at all (offer.ts).
 *
 * A sender may find the lock free and commit later, when nobody polls often any more. For half a second after the lock was
 * taken, the process polls for such transactions; jobs of longer transactions are found by the queue's own poll.
 *
 * @param options.session must not be started yet.
 */
export function createWakeUps({ session, taker, poll, report }: WakeUpsOptions): WakeUps {
  let mode: Mode = 'off';
  let client: pg.Client | undefined;
  let fetches = 0;
  let jobs = 0;
  let polling: NodeJS.Timeout | undefined;
  let measuring: NodeJS.Timeout | undefined;
  let contendedTimes = 0;
  let pollForMs = POLL_MIN_MS;
  let pollUntil = 0;
  let stopped = false;

  const offer = createOffer({ session, taker, onAnnounced: () => fetched(1), report });
  session.onConnect(async (connected) => {
    client = connected;
    await takeLock();
  });
  session.onLost(() => {
    client = undefined;
    void setMode('lost');
  });

  function setMode(next: Mode): Promise<void> {
    mode = next;
    pollInMode();
    return offer.allow(next === 'listening' || next === 'settling');
  }

  function pollInMode(): void {
    clearInterval(polling);
    const everyMs = POLL_MS[mode];
    if (stopped || everyMs === undefined) return;
    polling = setInterval(poll, everyMs);
    measureLater();
  }

  function measureLater(): void {
    if (stopped || mode === 'off') return;
    measuring ??= setTimeout(measure, MEASURE_MS);
  }

  async function measure(): Promise<void> {
    const isBusy = fetches >= BUSY_FETCHES;
    const isQuiet = jobs < QUIET_JOBS;
    fetches = 0;
    jobs = 0;
    try {
      if (mode === 'lost') await takeLock();
      else if (mode === 'polling') {
        if (isQuiet || performance.now() >= pollUntil) await takeLock();
      } else {
        const waiting = isBusy ? await countWaiting() : 0;
        contendedTimes = waiting >= SOME_WAITING ? contendedTimes + 1 : 0;
        const times = mode === 'settling' || waiting >= MANY_WAITING ? 1 : CONTENDED_TIMES;
        if (contendedTimes >= times) await giveLockBack();
        else if (mode === 'settling') await setMode('listening');
      }
      report.succeeded();
    } catch (error) {
      // A lock that this process has without knowing does no harm: senders notify it.
      report.failed(error);
      void setMode('lost');
    }
    measuring = undefined;
    // While nothing is fetched, nothing is measured, so an idle process makes no statements.
    if (mode !== 'listening' || fetches > 0) measureLater();
  }

  async function takeLock(): Promise<void> {
    const result = await client?.query<{ taken: boolean }>(
      `select pg_try_advisory_lock_shared(${LOCKS.listening}) as taken`,
    );
    await setMode(result?.rows[0]?.taken === true ? 'settling' : 'lost');
  }

  async function countWaiting(): Promise<number> {
    const result = await client?.query<{ waiting: number }>(COUNT_WAITING);
    return result?.rows[0]?.waiting ?? 0;
  }

  async function giveLockBack(): Promise<void> {
    await client?.query(`select pg_advisory_unlock_shared(${LOCKS.listening})`);
    pollForMs = mode === 'settling' ? Math.min(POLL_MAX_MS, 2 * pollForMs) : POLL_MIN_MS;
    pollUntil = performance.now() + pollForMs;
    contendedTimes = 0;
    await setMode('polling');
  }

  function fetched(found: number): void {
    fetches += 1;
    jobs += found;
    measureLater();
  }

  return {
    fetched,
    stop() {
      stopped = true;
      offer.stop();
      clearInterval(polling);
      clearTimeout(measuring);
    },
  };
}
