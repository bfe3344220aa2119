import type pg from 'pg';
import type { Logger } from 'pino';
import { deliverTask } from '../tasks/deliver.ts';
import { keepPartitionsTask } from '../tasks/keep-partitions.ts';
import type { Settings } from './config.ts';
import { createPool, FIXED_PLANS } from './db/pool.ts';
import type { Session } from './db/session.ts';
import { createDeliverer, LOAD_CONNECTIONS } from './delivery/deliverer.ts';
import { createHttpClient } from './delivery/http-client.ts';
import type { AttemptResult } from './delivery/record.sql.ts';
import { createRecorder, RECORDER_CONNECTIONS } from './delivery/recorder.ts';
import { keepPartitions } from './queue/partitions.ts';
import { createPresence } from './queue/presence.ts';
import { createQueueRunner, QUEUE_CONNECTIONS } from './queue/runner.ts';
import { createWaker } from './queue/waker.ts';
import type { SubscriptionCache } from './subscriptions/cache.ts';

/**
 * Each delivery statement finds its rows by a list of ids first, and joins what it found after. A
 * nested loop would look the rows up one by one, pruning partitions for each.
 */
const DELIVERY_PLANS = { ...FIXED_PLANS, enable_nestloop: 'off' };

/** A delivery that is overdue by this and the time of an attempt has lost its job. */
const LOST_AFTER_MS = 60_000;

export interface WorkerOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  /** For what is rare; loading, recording and the queue have connections of their own. */
  readonly pool: pg.Pool;
  readonly session: Session;
  readonly subscriptions: SubscriptionCache;
  readonly log: Logger;
  readonly onAttempt: (result: AttemptResult) => void;
}

export interface Worker {
  start(): Promise<void>;
  /** Lets deliveries in flight finish, within the grace period, and hands back the rest. */
  stop(): Promise<void>;
  readonly inFlight: number;
  readonly lastActiveAt: number;
}

/** Assembles the delivering half of the service. */
export function createWorker(options: WorkerOptions): Worker {
  const { settings, databaseUrl, pool, session, subscriptions, log, onAttempt } = options;
  const client = createHttpClient({
    timeoutMs: settings.deliveryTimeoutMs,
    allowNetworks: settings.allowNetworks,
    allowPorts: settings.allowPorts,
    egressProxy: settings.egressProxy,
  });
  const deliveryPool = createPool({
    connectionString: databaseUrl,
    purpose: 'delivery',
    max: 2 * LOAD_CONNECTIONS + RECORDER_CONNECTIONS,
    settings: DELIVERY_PLANS,
  });
  const deliverer = createDeliverer({
    pool: deliveryPool,
    subscriptions,
    client,
    recorder: createRecorder(deliveryPool, log, (delayMs) => runner.wakeIn(delayMs)),
    schedule: settings.retrySchedule,
    timeoutMs: settings.deliveryTimeoutMs,
    maxInFlight: settings.maxInFlight,
    log,
    onAttempt,
  });
  const presence = createPresence(pool, session, log);
  const queuePool = createPool({
    connectionString: databaseUrl,
    purpose: 'queue',
    max: QUEUE_CONNECTIONS,
  });
  const waker = createWaker({
    pool,
    lostAfterMs: settings.deliveryTimeoutMs + LOST_AFTER_MS,
    wakeIn: (delayMs) => runner.wakeIn(delayMs),
    log,
  });
  const runner = createQueueRunner({
    pool: queuePool,
    presence,
    tasks: {
      deliver: deliverTask(deliverer),
      keep_partitions: keepPartitionsTask(() => keepPartitions(pool, settings.retentionMs, log)),
    },
    concurrency: settings.maxInFlight,
    graceMs: settings.shutdownGraceMs,
    log,
  });

  return {
    async start() {
      await presence.rescue();
      presence.start();
      await runner.start();
      waker.start();
    },
    async stop() {
      deliverer.stopBeginning();
      await waker.stop();
      await runner.stop();
      await presence.stop().catch(() => {});
      await client.close();
      await Promise.all([queuePool.end(), deliveryPool.end()]);
    },
    get inFlight() {
      return deliverer.inFlight;
    },
    get lastActiveAt() {
      return runner.lastActiveAt;
    },
  };
}
