import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  parseCronItems,
  type Runner,
  run,
  type TaskList,
  type WorkerEvents,
  type WorkerPool,
} from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from 'pino';
import { queueLogger } from '../db/queue-logger.ts';
import { errorMessage } from '../lib/errors.ts';
import type { Presence } from './presence.ts';

/**
 * One fetch, one completion and LISTEN at a time, and some room for retries of those.
 */
export const QUEUE_CONNECTIONS = 5;
/** Jobs fetched at once. Each names up to 25 deliveries, so this is far more work than it looks. */
const PREFETCH = 100;
const RESTART_PAUSE_MS = 1_000;
/** Wake-ups this close together are one. */
const WAKE_STEP_MS = 50;
/** Retries further off than this may be late by the queue's poll interval, two seconds. */
const WAKE_HORIZON_MS = 60_000;

/** When each recurring task runs, in cron's notation and UTC. */
const CRON = [
  { task: 'keep_partitions', match: '17 * * * *', options: { backfillPeriod: 3_600_000 } },
];

export interface QueueRunnerOptions {
  /** Belongs to the runner alone; graphile-worker's connections come from it. */
  readonly pool: pg.Pool;
  readonly presence: Presence;
  readonly tasks: TaskList;
  /** Jobs that may run at once: as many as there may be requests in flight, since one may be all a job has. */
  readonly concurrency: number;
  /** How long a stop lets jobs go on before it ends them. */
  readonly graceMs: number;
  readonly log: Logger;
}

export interface QueueRunner {
  start(): Promise<void>;
  /** Stops taking jobs, hands back the prefetched ones and waits for those that run. */
  stop(): Promise<void>;
  /** Looks for due jobs in `delayMs`, rather than when the queue is next polled. */
  wakeIn(delayMs: number): void;
  /** When a job was last begun or the queue last found empty, in milliseconds since the epoch. */
  readonly lastActiveAt: number;
}

/**
 * Runs graphile-worker, and starts it again when it ends by itself, which it does when it cannot
 * reach the database for long.
 */
export function createQueueRunner(options: QueueRunnerOptions): QueueRunner {
  const { pool, presence, tasks, concurrency, graceMs, log } = options;
  let runner: Runner | undefined;
  let stopping = false;
  let supervised: Promise<void> = Promise.resolve();
  let lastActiveAt = 0;
  let registered: Promise<void> = Promise.resolve();
  let workerPool: WorkerPool | undefined;
  const wakeUps = new Map<number, NodeJS.Timeout>();
  gate(pool, () => registered);

  async function startOnce(): Promise<Runner> {
    const events: WorkerEvents = new EventEmitter();
    events.on('pool:create', (created) => {
      workerPool = created.workerPool;
      registered = presence.register(workerPool.id);
      registered.catch(() => {});
    });
    events.on('localQueue:getJobs:complete', () => {
      lastActiveAt = Date.now();
    });
    return await run({
      pgPool: pool,
      taskList: tasks,
      parsedCronItems: parseCronItems(CRON),
      noHandleSignals: true,
      preset: {
        worker: {
          events,
          logger: queueLogger(log),
          concurrentJobs: concurrency,
          localQueue: { size: PREFETCH },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
          gracefulShutdownAbortTimeout: graceMs,
        },
      },
    });
  }

  async function supervise(first: Runner): Promise<void> {
    let current = first;
    for (;;) {
      try {
        await current.promise;
      } catch (error) {
        if (!stopping) log.error({ reason: errorMessage(error) }, 'the queue runner ended');
      }
      for (;;) {
        if (stopping) return;
        await sleep(RESTART_PAUSE_MS);
        if (stopping) return;
        try {
          await presence.stop();
          current = await startOnce();
          runner = current;
          log.info('the queue runner is back');
          break;
        } catch (error) {
          log.warn({ reason: errorMessage(error) }, 'the queue runner cannot start yet');
        }
      }
    }
  }

  return {
    async start() {
      runner = await startOnce();
      supervised = supervise(runner);
    },
    wakeIn(delayMs) {
      if (delayMs > WAKE_HORIZON_MS || stopping) return;
      const step = Math.ceil((Date.now() + delayMs) / WAKE_STEP_MS) + 1;
      if (wakeUps.has(step)) return;
      const timer = setTimeout(
        () => {
          wakeUps.delete(step);
          workerPool?.nudge(1);
        },
        step * WAKE_STEP_MS - Date.now(),
      );
      wakeUps.set(step, timer);
    },
    async stop() {
      stopping = true;
      for (const timer of wakeUps.values()) clearTimeout(timer);
      await runner?.stop().catch((error: unknown) => {
        log.warn({ reason: errorMessage(error) }, 'stopping the queue runner');
      });
      await supervised;
    },
    get lastActiveAt() {
      return lastActiveAt;
    },
  };
}

/**
 * Makes every connection of the pool wait for `ready()`. A pool that took jobs before it was known
 * as alive could die in between, and nobody would know whose jobs those were.
 */
function gate(pool: pg.Pool, ready: () => Promise<void>): void {
  const connect = pool.connect.bind(pool) as (callback?: unknown) => unknown;
  pool.connect = ((callback?: (error: unknown) => void) => {
    if (callback === undefined) return ready().then(() => connect());
    ready().then(
      () => connect(callback),
      (error: unknown) => callback(error),
    );
  }) as typeof pool.connect;
}
