import { setMaxListeners } from 'node:events';
import type pg from 'pg';
import type { Logger } from 'pino';
import { deliverTask } from '../../tasks/deliver.ts';
import { keepPartitionsTask } from '../../tasks/keep-partitions.ts';
import { runTaskTask } from '../../tasks/run-task.ts';
import { createBacklogs } from '../backlog/backlogs.ts';
import { createTaskRunner, TASK_CONNECTIONS } from '../bulk-operations/run.ts';
import { createLimiter } from '../concurrency/limiter.ts';
import type { Settings } from '../config/settings.ts';
import { endSoon } from '../db/end-soon.ts';
import { POOL_PLANS } from '../db/planner.ts';
import { createPool } from '../db/pool.ts';
import { createPatience } from '../db/retry-while-unavailable.ts';
import type { Session } from '../db/session.ts';
import { maxLoadedBytes } from '../deliveries/payloads.sql.ts';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import { createCircuits } from '../health/circuits.ts';
import { createHttpClient } from '../http/http-client.ts';
import type { NearbyWorker } from '../intake/nearby-worker.ts';
import type { LoopHealth } from '../lib/loop-health.ts';
import { createPresence } from '../maintenance/worker-lease.ts';
import { createQueueRunner, QUEUE_CONNECTIONS } from '../queue/runner.ts';
import { createCourier, type MadeAttempt } from '../sending/courier.ts';
import { createDeliverer, LOAD_CONNECTIONS } from '../sending/deliverer.ts';
import { createHandOver } from '../sending/hand-over.ts';
import { createLargeBodies, LARGE_BODY_CONNECTIONS } from '../sending/large-bodies.ts';
import { createMailer, withMailer } from '../sending/mailer.ts';
import { createRecorder, RECORDER_CONNECTIONS } from '../sending/recorder.ts';
import type { SubscriptionCache } from '../subscriptions/cache.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { connectorOptionsOf } from './connector-options.ts';
import { createMaintenance } from './maintenance.ts';

/** Two, since bodies and deliveries are loaded side by side. */
const BACKLOG_CONNECTIONS = 2;
/** Time limit for reading one large body: 64 MiB from a database far away. */
const LARGE_BODY_MS = 10_000;
/** A failure is forgotten after this time: without deliveries nothing is loaded, so nothing can succeed. */
const FORGOTTEN_MS = 60_000;
/** Another process may have done the job that failed here; the queue tries it again after up to minutes. */
const JOB_FORGOTTEN_MS = 5 * 60_000;
/**
 * The oldest worker does the shared work, and the others do it so much less often: they cost the database little, and
 * it is done although the oldest one cannot do it.
 */
const SPARE_PACE = 20;
/** The part of the grace period for handing back deliveries that have not finished. */
const HAND_BACK_MS = 3_000;

interface WorkerOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  /** For rare statements; loading, recording and the queue have connections of their own. */
  readonly pool: pg.Pool;
  readonly session: Session;
  readonly subscriptions: SubscriptionCache;
  readonly health: LoopHealth;
  readonly log: Logger;
  /** Undefined: traces are not exported. */
  readonly tracing: Tracing | undefined;
  readonly onAttempt: (attempt: MadeAttempt) => void;
  readonly onPulled: (result: AttemptResult) => void;
  /** Called with the number of attempts that are recorded together, for metrics. */
  readonly onGroup: (attempts: number) => void;
  /** Called with the number of held deliveries that expired. */
  readonly onExpired: (deliveries: number) => void;
}

export interface Worker extends NearbyWorker {
  start(): Promise<void>;
  /** Resolves when it has sent its first webhooks, or found none, and ten seconds after the start at the latest. */
  readonly begun: Promise<void>;
  /** Lets deliveries in flight finish, within the grace period, and hands back the rest. */
  stop(): Promise<void>;
  readonly inFlight: number;
  /** Its pools of connections, by name, for metrics. */
  readonly pools: Readonly<Record<string, pg.Pool>>;
  /** The time in which no job has started, no request was open, and the queue was not found empty. */
  readonly quietForMs: number;
}

/** Assembles the part of the service that delivers webhooks. */
export function createWorker(options: WorkerOptions): Worker {
  const { settings, databaseUrl, pool, session, subscriptions, health, log } = options;
  const { onAttempt, onPulled, onExpired, onGroup } = options;
  const client = withMailer(
    createHttpClient(connectorOptionsOf(settings)),
    createMailer(settings.mail),
  );
  // Aborts when a stop has used up its grace period.
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  const patience = createPatience(ending.signal);
  const deliveryPool = createPool({
    connectionString: databaseUrl,
    purpose: 'delivery',
    max: 2 * LOAD_CONNECTIONS + RECORDER_CONNECTIONS,
    settings: POOL_PLANS.delivery,
  });
  const bodyPool = createPool({
    connectionString: databaseUrl,
    purpose: 'large bodies',
    max: LARGE_BODY_CONNECTIONS,
    timeoutMs: LARGE_BODY_MS,
    settings: POOL_PLANS.largeBodies,
  });
  const limiter = createLimiter(settings.maxInFlight);
  const { receiverLimits } = limiter;
  const circuits = createCircuits({
    pool,
    subscriptions,
    patience,
    loop: health.watch('write_circuits', 'recording which receivers fail', FORGOTTEN_MS),
    ending: ending.signal,
    policy: settings.circuit,
    disableAfterMs: settings.disableAfterMs,
    onClosed: (subscriptionId) => receiverLimits.startSlowly(subscriptionId),
    log,
  });
  const recorder = createRecorder({
    pool: deliveryPool,
    patience,
    loop: health.watch('record_attempts', 'recording attempts'),
    ending: ending.signal,
    log,
    wakeIn: (delayMs) => runner.wakeIn(delayMs),
    onGroup,
    onUnrecorded: (subscriptionId) => backlogs.notice([subscriptionId]),
  });
  let attemptAt = performance.now();
  const courier = createCourier({
    pool: deliveryPool,
    subscriptions,
    client,
    largeBodies: createLargeBodies({
      pool: bodyPool,
      sizesPool: deliveryPool,
      patience,
      maxBodyBytes: maxLoadedBytes(settings.maxBodyBytes),
    }),
    recorder,
    circuits,
    patience,
    schedule: settings.retrySchedule,
    timeoutMs: settings.deliveryTimeoutMs,
    log,
    tracing: options.tracing,
    onAttempt(attempt) {
      // With slow receivers a job may take minutes, and none is begun meanwhile.
      attemptAt = performance.now();
      onAttempt(attempt);
    },
  });
  const presence = createPresence(
    pool,
    session,
    health.watch('presence', "renewing this worker's lease"),
    log,
    {
      underWay: () => deliverer.attemptsUnderWay(),
      forget: (tenant) => subscriptions.dropTenant(tenant),
    },
  );
  const deliverer = createDeliverer({
    pool: deliveryPool,
    courier,
    limiter,
    patience,
    claim: presence.claim,
    loadLoop: health.watch('load_deliveries', 'loading deliveries', FORGOTTEN_MS),
    holdLoop: health.watch('hold_deliveries', 'holding deliveries', FORGOTTEN_MS),
    onHeld: (subscriptionIds) => backlogs.notice(subscriptionIds),
  });
  const handOver = createHandOver({
    pool,
    memory: limiter.memory,
    lease: presence,
    patience,
    loop: health.watch('hand_over', 'handing deliveries over to this worker', FORGOTTEN_MS),
    deliver: (delivery, isOurs, release) =>
      deliverer.deliverHandedOver(delivery, ending.signal, isOurs, release),
    deliverAnnounced: ({ job, worker }) => deliverer.deliverAnnounced(job, worker, ending.signal),
  });
  const backlogPool = createPool({
    connectionString: databaseUrl,
    purpose: 'backlog',
    max: BACKLOG_CONNECTIONS,
    settings: POOL_PLANS.backlog,
  });
  const backlogs = createBacklogs({
    pool: backlogPool,
    session,
    limiter,
    subscriptions,
    ownership: presence,
    attempt: (delivery, mayBegin) => deliverer.deliverHeld(delivery, ending.signal, mayBegin),
    mayRecord: recorder.hasRoom,
    health,
  });
  const queuePool = createPool({
    connectionString: databaseUrl,
    purpose: 'queue',
    max: QUEUE_CONNECTIONS,
    settings: POOL_PLANS.queue,
  });
  const taskPool = createPool({
    connectionString: databaseUrl,
    purpose: 'tasks',
    max: TASK_CONNECTIONS,
  });
  const taskRunner = createTaskRunner({
    pool: taskPool,
    wakeIn: (delayMs) => runner.wakeIn(delayMs),
    log,
  });
  const { shared, onClock, hourly } = createMaintenance({
    settings,
    databaseUrl,
    pool,
    taskPool,
    session,
    health,
    log,
    onPulled,
    onExpired,
    wakeIn: (delayMs) => runner.wakeIn(delayMs),
    quietForMs: () => performance.now() - attemptAt,
    ending: ending.signal,
  });
  const runner = createQueueRunner({
    pool: queuePool,
    presence,
    session,
    taker: handOver,
    tasks: {
      deliver: deliverTask(deliverer),
      run_task: runTaskTask(taskRunner),
      keep_partitions: keepPartitionsTask(...hourly.map(({ runOnce }) => runOnce)),
    },
    loop: health.watch('take_jobs', 'taking and completing jobs of the queue'),
    taskLoops: {
      deliver: health.watch('deliver', 'running delivery jobs', JOB_FORGOTTEN_MS),
      run_task: health.watch('run_task', 'running bulk tasks', JOB_FORGOTTEN_MS),
    },
    concurrency: settings.maxInFlight,
    patience,
    ending: ending.signal,
    log,
  });

  return {
    handOver,
    wakeIn: (delayMs) => runner.wakeIn(delayMs),
    begun: runner.begun,
    async start() {
      presence.onOlder((workers) => {
        for (const { setPace } of shared) setPace(workers === 0 ? 1 : SPARE_PACE);
      });
      await presence.rescue();
      presence.start();
      await runner.start();
      handOver.start();
      for (const { start } of [...shared, ...onClock]) start();
      backlogs.start();
    },
    async stop() {
      const handedOver = handOver.stop();
      deliverer.stopBeginning();
      taskRunner.stop();
      const timer = setTimeout(() => ending.abort(), finishMs(settings.shutdownGraceMs));
      await Promise.all([...shared, ...onClock].map(({ stop }) => stop()));
      await Promise.all([
        runner.stop(),
        handedOver,
        backlogs.stop(),
        ...hourly.map(({ stop }) => stop()),
      ]);
      clearTimeout(timer);
      // If that fails, others find this worker dead within seconds, since its session ends.
      await presence.stop().catch(() => {});
      await client.close();
      await endSoon(
        queuePool.end(),
        deliveryPool.end(),
        backlogPool.end(),
        bodyPool.end(),
        taskPool.end(),
      );
    },
    pools: {
      backlog: backlogPool,
      delivery: deliveryPool,
      'large bodies': bodyPool,
      queue: queuePool,
      tasks: taskPool,
    },
    get inFlight() {
      return receiverLimits.inFlight;
    },
    get quietForMs() {
      // An open request ends by itself, but its subscription may allow minutes.
      if (receiverLimits.inFlight > 0) return 0;
      return Math.min(runner.quietForMs, performance.now() - attemptAt);
    },
  };
}

/** Returns the part of the grace period in which deliveries in flight may finish. */
function finishMs(graceMs: number): number {
  return Math.max(graceMs - HAND_BACK_MS, graceMs / 2);
}
