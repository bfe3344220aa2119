import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  parseCronItems,
  type Runner,
  run,
  type Task,
  type TaskList,
  type WorkerEvents,
  type WorkerPool,
} from 'graphile-worker';
import type pg from 'pg';
import type { Logger } from 'pino';
import { queueLogger } from '../db/queue-logger.ts';
import type { Patience } from '../db/retry-while-unavailable.ts';
import type { Session } from '../db/session.ts';
import type { Loop } from '../lib/loop-health.ts';
import { createLoopParts } from '../lib/loop-parts.ts';
import type { Presence } from '../maintenance/worker-lease.ts';
import { DeliveryTakenError } from '../sending/deliverer.ts';
import type { Taker } from '../sending/hand-over.ts';
import { createFirstJob } from './first-job.ts';
import { createPolling, SPARE_POLL_MS } from './polling.ts';
import { createWakeUps } from './wake-ups.ts';
import { watchPool } from './watch-pool.ts';

/** One fetch, one completion and LISTEN at a time, and some room for retries of those. */
export const QUEUE_CONNECTIONS = 5;
/**
 * Jobs fetched at once. Each names up to 25 deliveries, so this is far more work than it looks; jobs
 * with a better priority that come later wait until these have begun.
 */
const PREFETCH = 40;
/** Pause before the next pool begins; doubled after each pool that did not last. */
const REPLACE_MIN_MS = 250;
const REPLACE_MAX_MS = 4_000;
const LASTED_MS = 10_000;
/** Time that graphile-worker may take to end after its last job. */
const END_MS = 2_000;
/** Jobs that end within this time are completed by one statement; nothing waits for completions. */
const COMPLETE_MS = 20;
/** Wake-ups this close together become one. */
const WAKE_STEP_MS = 50;
/**
 * A fetch that found jobs is followed by another one within this time: an application that sends with
 * posthorn.notify = off, and has just sent, sends again. A lone job costs one fetch more.
 */
const FOLLOW_MS = 250;
/** Retries further off than this may be late by the queue's poll interval. */
const WAKE_HORIZON_MS = 60_000;

/** The part of the loop that is not a statement: starting a pool and registering it as alive. */
const STARTING = 'starting';
/** The part that takes and gives back the lock of those who have to be notified. */
const WAKING = 'waking';

/** Recurring tasks, in cron's notation and UTC. */
const CRON = [
  { task: 'keep_partitions', match: '17 * * * *', options: { backfillPeriod: 3_600_000 } },
];

export interface QueueRunnerOptions {
  /** For the runner alone; graphile-worker's connections come from it. */
  readonly pool: pg.Pool;
  readonly presence: Presence;
  /** Must not be started yet. */
  readonly session: Session;
  readonly taker: Taker;
  readonly patience: Patience;
  readonly tasks: TaskList;
  /** Told how taking and completing jobs goes. */
  readonly loop: Loop;
  /** Told how the jobs of a task go, by its name; other tasks report by themselves. */
  readonly taskLoops: Readonly<Record<string, Loop>>;
  /** Jobs that may run at once: as many as requests in flight, since a job may have only one. */
  readonly concurrency: number;
  /** Passed to the tasks: when it aborts, they end their requests. */
  readonly ending: AbortSignal;
  readonly log: Logger;
}

export interface QueueRunner {
  start(): Promise<void>;
  /** As `done` of first-job.ts. */
  readonly begun: Promise<void>;
  /** Stops taking jobs, hands back the prefetched ones and waits for those that run. */
  stop(): Promise<void>;
  /** Looks for due jobs in `delayMs`, rather than when the queue is next polled. */
  wakeIn(delayMs: number): void;
  /** The time in which no job has begun, although the queue was not found empty. */
  readonly quietForMs: number;
}

/** A pool of graphile-worker and its running jobs. */
interface QueuePool {
  readonly runner: Runner;
  readonly workerPool: WorkerPool;
  /** Resolves when no job of the pool runs. */
  idle(): Promise<void>;
  /** Resolves once the pool is registered as alive; rejects when it never will be. */
  readonly known: Promise<void>;
  /** Gives up the registration: connections that wait for it are refused. */
  forget(): void;
}

/**
 * Runs graphile-worker, and replaces a pool whose state is not known.
 *
 * A statement that breaks off leaves the queue in doubt: it may have locked jobs that the pool never
 * received, or not have completed jobs that are done. graphile-worker carries on in the first case, and
 * in the second ends the pool in a way that may never finish (seen in 0.18.0: two completions that fail
 * together). So after any such failure a new pool begins, the old one takes no more jobs, and the jobs
 * that it still holds after its last one has ended are freed. Those that were done already are stale
 * then, and end without a request.
 */
export function createQueueRunner(options: QueueRunnerOptions): QueueRunner {
  const { pool, presence, session, taker, patience, tasks, loop, taskLoops } = options;
  const { concurrency, ending, log } = options;
  const parts = createLoopParts(loop);
  const draining = new Set<Promise<void>>();
  let current: QueuePool | undefined;
  let replacing: Promise<void> | undefined;
  let stopping = false;
  let activeAt = performance.now();
  let startedAt = performance.now();
  let pauseMs = REPLACE_MIN_MS;
  let registered: Promise<void> = Promise.resolve();
  const dueAt = new Map<number, NodeJS.Timeout>();
  let following: NodeJS.Timeout | undefined;
  const firstJob = createFirstJob();
  watchPool(pool, {
    // A pool that took jobs before it was registered could die in between, and its jobs would have no
    // known owner.
    before: () => registered,
    patience,
    loop,
    parts,
    onBroken: () => replace(),
  });

  const wakeUps = createWakeUps({
    session,
    taker,
    poll: () => current?.workerPool.nudge(1),
    report: {
      succeeded: () => parts.succeeded(WAKING),
      failed: (error) => parts.failed(WAKING, error),
    },
  });

  const polling = createPolling(() => current?.workerPool.nudge(1));

  /** Fetches again soon, unless that is planned already. */
  function follow(): void {
    if (stopping) return;
    following ??= setTimeout(() => {
      following = undefined;
      current?.workerPool.nudge(1);
    }, FOLLOW_MS);
  }

  async function startPool(): Promise<QueuePool> {
    const events: WorkerEvents = new EventEmitter();
    const running = countRunning(tasks, taskLoops, ending);
    let workerPool: WorkerPool | undefined;
    let forgotten = false;
    const known = Promise.withResolvers<void>();
    known.promise.catch(() => {});
    // Statements before the pool exists take no jobs.
    registered = Promise.resolve();
    events.on('pool:create', (created) => {
      workerPool = created.workerPool;
      const { id } = created.workerPool;
      registered = known.promise;
      patience(async () => {
        if (!forgotten) await presence.register(id);
      }, loop).then(known.resolve, known.reject);
    });
    events.on('pool:gracefulShutdown', () => replace());
    const active = () => {
      activeAt = performance.now();
    };
    events.on('localQueue:getJobs:complete', ({ jobs }) => {
      active();
      wakeUps.fetched(jobs.length);
      if (jobs.length === 0) return;
      polling.found();
      follow();
    });
    events.on('job:start', active);
    firstJob.watch(events);
    const runner = await run({
      pgPool: pool,
      taskList: running.tasks,
      parsedCronItems: parseCronItems(CRON),
      noHandleSignals: true,
      preset: {
        worker: {
          events,
          logger: queueLogger(log),
          concurrentJobs: concurrency,
          pollInterval: SPARE_POLL_MS,
          localQueue: { size: PREFETCH },
          completeJobBatchDelay: COMPLETE_MS,
          failJobBatchDelay: 0,
        },
      },
    });
    runner.promise.catch(() => {});
    return {
      runner,
      workerPool: workerPool as WorkerPool,
      idle: running.idle,
      known: known.promise,
      forget() {
        forgotten = true;
        known.reject(new Error('The pool was replaced before it was known as alive'));
      },
    };
  }

  function use(next: QueuePool): void {
    current = next;
    startedAt = performance.now();
    next.known.then(
      () => parts.succeeded(STARTING),
      (error: unknown) => {
        if (current !== next) return;
        parts.failed(STARTING, error);
        replace();
      },
    );
  }

  /** Replaces the current pool, which finishes its running jobs. */
  function replace(): void {
    if (stopping || current === undefined || replacing !== undefined) return;
    const old = current;
    current = undefined;
    old.forget();
    const lasted = performance.now() - startedAt > LASTED_MS;
    pauseMs = lasted ? REPLACE_MIN_MS : Math.min(REPLACE_MAX_MS, pauseMs * 2);
    const drained = drain(old).finally(() => draining.delete(drained));
    draining.add(drained);
    replacing = startNext().finally(() => {
      replacing = undefined;
    });
  }

  async function startNext(): Promise<void> {
    while (!stopping) {
      // Several statements of the old pool may break off one after the other.
      await sleep(pauseMs);
      if (stopping) return;
      try {
        use(await startPool());
        log.info('the queue runner is back');
        return;
      } catch (error) {
        parts.failed(STARTING, error);
      }
    }
  }

  async function drain({ runner, workerPool, idle }: QueuePool): Promise<void> {
    const ended = runner.stop().catch(() => {});
    await idle();
    await Promise.race([ended, sleep(END_MS, undefined, { ref: false })]);
    // If that fails, other workers find the pool dead, since it renews no lease.
    if (!stopping) await patience(() => presence.retire(workerPool.id), loop).catch(loop.failed);
  }

  presence.onFreed(() => current?.workerPool.nudge(1));
  presence.onOlder(polling.setOlder);
  presence.onTakenForDead((poolIds) => {
    // A pool that is being replaced finishes its jobs, and its successor is not concerned.
    if (current !== undefined && poolIds.includes(current.workerPool.id)) replace();
  });
  return {
    async start() {
      firstJob.begin();
      use(await startPool());
      polling.start();
    },
    begun: firstJob.done,
    wakeIn(delayMs) {
      if (delayMs > WAKE_HORIZON_MS || stopping) return;
      const step = Math.ceil((Date.now() + delayMs) / WAKE_STEP_MS) + 1;
      if (dueAt.has(step)) return;
      const timer = setTimeout(
        () => {
          dueAt.delete(step);
          current?.workerPool.nudge(1);
        },
        step * WAKE_STEP_MS - Date.now(),
      );
      dueAt.set(step, timer);
    },
    async stop() {
      stopping = true;
      for (const timer of dueAt.values()) clearTimeout(timer);
      clearTimeout(following);
      polling.stop();
      wakeUps.stop();
      await Promise.race([replacing, sleep(END_MS, undefined, { ref: false })]);
      await Promise.all([current === undefined ? undefined : drain(current), ...draining]);
    },
    get quietForMs() {
      return performance.now() - activeAt;
    },
  };
}

/** Wraps tasks: passes our abort signal, counts running jobs, and tells the loops how jobs go. */
function countRunning(
  tasks: TaskList,
  loops: Readonly<Record<string, Loop>>,
  ending: AbortSignal,
): { tasks: TaskList; idle(): Promise<void> } {
  let running = 0;
  const onIdle: (() => void)[] = [];
  const counted = (name: string, task: Task): Task => {
    const loop = loops[name];
    let failedJob: string | undefined;
    return async (payload, helpers) => {
      running += 1;
      try {
        const result = await task(payload, { ...helpers, abortSignal: ending });
        failedJob = undefined;
        loop?.succeeded();
        return result;
      } catch (error) {
        // One faulty job that fails again and again is no failure of the loop; the queue logs it. Nor is a job that
        // another worker has taken.
        const isFailure = failedJob !== helpers.job.id && !(error instanceof DeliveryTakenError);
        if (isFailure && !ending.aborted) loop?.failed(error);
        failedJob = helpers.job.id;
        throw error;
      } finally {
        running -= 1;
        if (running === 0) for (const resolve of onIdle.splice(0)) resolve();
      }
    };
  };
  return {
    tasks: Object.fromEntries(
      Object.entries(tasks).map(([name, task]) => [name, counted(name, task as Task)]),
    ),
    idle: async () => {
      if (running > 0) await new Promise<void>((resolve) => onIdle.push(resolve));
    },
  };
}
