import type pg from 'pg';
import type { Logger } from 'pino';
import { forgetTasks, wakeTasks } from '../bulk-operations/store.ts';
import type { Settings } from '../config/settings.ts';
import type { Session } from '../db/session.ts';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import { forgetNotices } from '../health/notices.sql.ts';
import { forgetCounts } from '../history/count.sql.ts';
import type { LoopHealth } from '../lib/loop-health.ts';
import type { Periodic } from '../lib/periodic.ts';
import { createPeriodic } from '../lib/periodic.ts';
import { createBackfillSender, forgetBackfills } from '../maintenance/backfills.ts';
import { createClockKeeper } from '../maintenance/clock.ts';
import { createCommitMarks } from '../maintenance/commit-marks.ts';
import { createCounter } from '../maintenance/count.ts';
import { createBodyKeeper } from '../maintenance/erase-bodies.ts';
import { createExpiry, createPullExpiry, createSkipping } from '../maintenance/expire-held.ts';
import { createIndexMaker } from '../maintenance/indexes.ts';
import { createLiveViews } from '../maintenance/live-views.ts';
import { createPartitionMaker } from '../maintenance/partition-maker.ts';
import { withPatientPool } from '../maintenance/patient-pool.ts';
import { createWaker } from '../maintenance/queue-retries.ts';
import { createPartitionKeeper } from '../maintenance/retention.ts';
import { createTemporaryKeeper } from '../maintenance/temporary-subscriptions.ts';
import { createLeaseKeeper } from '../pull/overdue-leases.ts';
import { forgetSessions } from '../sessions/sessions.ts';

/** A delivery that is overdue by this and the time of an attempt has lost its job. */
const LOST_AFTER_MS = 60_000;
/** A task whose next batch is overdue by this has lost its job. */
const LOST_TASK_MS = 30_000;
/** Seldom, since an idle process should cost the database little. */
const WAKE_TASKS_MS = 60_000;

interface MaintenanceOptions {
  readonly settings: Settings;
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  /** Connections for bulk operations and backfills, whose statements may take long. */
  readonly taskPool: pg.Pool;
  readonly session: Session;
  readonly health: LoopHealth;
  readonly log: Logger;
  /** Called for each attempt of a delivery whose lease has ended. */
  readonly onPulled: (result: AttemptResult) => void;
  /** Called with the number of held deliveries that expired. */
  readonly onExpired: (deliveries: number) => void;
  /** Lets the queue look for jobs after this time. */
  readonly wakeIn: (delayMs: number) => void;
  /** The time since the last attempt of this worker. */
  readonly quietForMs: () => number;
  /** Aborts when a stop can wait no longer. */
  readonly ending: AbortSignal;
}

interface Maintenance {
  /** One worker does these on their clock; the others need to do them only seldom. */
  readonly shared: readonly Pick<Periodic, 'start' | 'stop' | 'setPace'>[];
  /** Each worker does these on their clock, since they depend on what it does otherwise. */
  readonly onClock: readonly Pick<Periodic, 'start' | 'stop'>[];
  /** An hourly job runs these in one process; if a run fails, that process tries it again by itself. */
  readonly hourly: readonly Pick<Periodic, 'runOnce' | 'stop'>[];
}

/** Puts the work of a worker together that is done on a clock, beside the deliveries. */
export function createMaintenance(options: MaintenanceOptions): Maintenance {
  const { settings, databaseUrl, pool, taskPool, session, health, log } = options;
  const { onPulled, onExpired, wakeIn, quietForMs, ending } = options;
  const waker = createWaker({
    pool,
    lostAfterMs: LOST_AFTER_MS,
    timeoutMs: settings.deliveryTimeoutMs,
    wakeIn,
    loop: health.watch('wake_deliveries', 'adding jobs for deliveries that are due soon'),
    log,
  });
  const taskWaker = createPeriodic({
    everyMs: WAKE_TASKS_MS,
    run: () => wakeTasks(pool, LOST_TASK_MS),
    loop: health.watch('wake_tasks', 'adding lost jobs of tasks'),
  });
  const expiry = createExpiry({
    pool,
    schedule: settings.retrySchedule,
    onExpired,
    loop: health.watch('expire_held', 'expiring deliveries that were held too long'),
    log,
  });
  const skipping = createSkipping(
    pool,
    health.watch('skip_held', 'cancelling deliveries that are skipped'),
  );
  const partitionMaker = createPartitionMaker(
    pool,
    settings.failedRetentionMs,
    health.watch('make_partitions', 'making the partitions of the coming week'),
  );
  const liveViews = createLiveViews(
    pool,
    session,
    health.watch('write_live_views', 'writing the days that SQL reports read'),
  );
  const clockKeeper = createClockKeeper(
    pool,
    health.watch('move_future_times', 'moving due times of a wrong clock'),
    log,
  );
  const counter = createCounter({
    pool,
    databaseUrl,
    ending,
    loop: health.watch('count_minutes', 'counting webhooks and attempts'),
  });
  const commitMarks = createCommitMarks(
    pool,
    health.watch('mark_commits', 'marking which transactions can still commit webhooks'),
    quietForMs,
  );
  const backfillSender = createBackfillSender({
    pool: taskPool,
    loop: health.watch(
      'send_backfills',
      'sending existing rows of watched tables, and merging what watches could not send',
    ),
    log,
  });
  session.listen('posthorn_backfills', () => void backfillSender.runOnce());
  const leaseKeeper = createLeaseKeeper({
    pool,
    session,
    schedule: settings.retrySchedule,
    onAttempt: onPulled,
    loop: health.watch('end_leases', 'ending leases of deliveries that were not acknowledged'),
  });
  const temporaryKeeper = createTemporaryKeeper({
    pool,
    loop: health.watch('delete_temporary', 'deleting subscriptions that nobody pulls any more'),
    log,
  });
  const shared = [
    waker,
    leaseKeeper,
    temporaryKeeper,
    taskWaker,
    expiry,
    skipping,
    partitionMaker,
    liveViews,
    clockKeeper,
    counter,
    backfillSender,
  ];
  // An hour, or the time that a service was away, can leave millions of rows to delete.
  const patiently = (work: (own: pg.Pool) => Promise<void>) =>
    withPatientPool(databaseUrl, 'old rows', ending, work);
  const hourly = [
    // Before the partitions are dropped that it frees.
    createPullExpiry({
      pool,
      retentionMs: settings.retentionMs,
      onExpired,
      loop: health.watch('expire_unpulled', 'expiring deliveries that nobody pulled'),
      log,
    }),
    createPartitionKeeper({
      databaseUrl,
      retentionMs: settings.retentionMs,
      failedRetentionMs: settings.failedRetentionMs,
      archiveDir: settings.archiveDir,
      ending,
      loop: health.watch('keep_partitions', 'dropping the partitions of expired history'),
      log,
    }),
    createPeriodic({
      run: () =>
        patiently(async (own) => {
          await forgetTasks(own, settings.retentionMs);
          await forgetBackfills(own, settings.retentionMs);
          await forgetSessions(own);
          await forgetNotices(own);
        }),
      loop: health.watch('forget_tasks', 'deleting old tasks, backfills and sessions'),
    }),
    createPeriodic({
      run: () => patiently(forgetCounts),
      loop: health.watch('forget_counts', 'deleting old counts'),
    }),
    createBodyKeeper({
      pool,
      retentionMs: settings.retentionMs,
      payloadRetentionMs: settings.payloadRetentionMs,
      loop: health.watch('erase_bodies', 'erasing expired bodies'),
      log,
    }),
    createIndexMaker({
      databaseUrl,
      pool,
      ending,
      loop: health.watch('make_indexes', 'making indexes of past days'),
      log,
    }),
  ];
  return { shared, onClock: [commitMarks], hourly };
}
