import cluster from 'node:cluster';
import type pg from 'pg';
import type { Logger } from 'pino';
import { createEventReader } from '../api/stream/reader.ts';
import type { Settings } from '../config/settings.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import type { EmbeddedPostgres } from '../db/embedded/postgres.ts';
import { createSession, NO_SESSION, type Session } from '../db/session.ts';
import { receiverCounts } from '../health/health.sql.ts';
import { setSqlLimits } from '../intake/limits.sql.ts';
import { abortable } from '../lib/abortable.ts';
import { errorMessage } from '../lib/errors.ts';
import { createLoopHealth, type LoopHealth, watched } from '../lib/loop-health.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import { countQueue } from '../metrics/queue-counts.sql.ts';
import { createReporter } from '../metrics/reporter.ts';
import { createPullPlaces } from '../pull/places.ts';
import { createPolls } from '../pull/polls.ts';
import { reportSecrets } from '../subscriptions/report-secrets.ts';
import { createTracing } from '../tracing/tracing.ts';
import { createCaches, LOADING_FORGOTTEN_MS } from './caches.ts';
import { openDatabase } from './open-database.ts';
import { createPools } from './pools.ts';
import { createSiblingReadiness, isServedByOthers, tellReadiness } from './sibling-processes.ts';
import type { RunningApi } from './start-api.ts';
import { createWorker, type Worker } from './worker.ts';

const NO_JOBS_TAKEN_MS = 60_000;
/** Metrics are scraped every minute or more often. */
const SCRAPE_FORGOTTEN_MS = 150_000;

export interface Service {
  /** The URL of the API, such as `http://127.0.0.1:5000`; empty if other processes serve the API. */
  readonly url: string;
  readonly databaseUrl: string;
  readonly embedded: EmbeddedPostgres | undefined;
  /** Stops taking requests and jobs, lets those under way finish, and closes everything. */
  stop(): Promise<void>;
}

/**
 * Starts the parts that the settings name: the embedded database, migrations, the API, the worker.
 *
 * @param signal ends the start.
 * @throws OperatorError with one line that says what to do, when the port is taken or the database
 *   cannot be used; the reason of `signal` as soon as that aborts. Nothing is left running then.
 */
export async function startService(
  settings: Settings,
  log: Logger,
  signal?: AbortSignal,
): Promise<Service> {
  const stops: (() => Promise<void>)[] = [];
  const stop = once(async () => {
    for (const stopPart of stops.reverse()) await stopPart();
  });
  try {
    const tracing =
      settings.tracing === undefined ? undefined : await createTracing(settings.tracing, log);
    // Stopped last, so that it exports the spans of what the others finish.
    if (tracing !== undefined) stops.push(() => tracing.stop());
    const database = await openDatabase(settings, log, signal);
    const { url: databaseUrl, embedded, sharesSessions } = database;
    stops.push(() => database.close());

    const pools = createPools(settings, databaseUrl, sharesSessions, log);
    stops.push(() => pools.end());
    const { pool } = pools;
    const health = createLoopHealth({
      log,
      isOutage: (error) => isUnavailable(error) && !isTimeout(error),
    });
    const session = sharesSessions
      ? NO_SESSION
      : createSession({
          databaseUrl,
          purpose: 'session',
          loop: health.watch('session', 'keeping a database session open'),
          log,
        });
    const caches = createCaches(settings, pool, session, health);
    const polls = createPolls(session);
    const pullPlaces = createPullPlaces();
    const events = createEventReader({
      pool: pools.streamPool,
      loop: health.watch('stream_events', 'reading events for streams', LOADING_FORGOTTEN_MS),
    });
    const metrics = createMetrics(settings);
    if (tracing !== undefined) metrics.watchSpans(() => tracing.counts);
    metrics.watchStreams(() => events.clients);
    metrics.watchPulls(() => pullPlaces.taken);
    metrics.watchLoops(() => health.loops);
    reportDatabase(metrics, pool, session, health);

    let worker: Worker | undefined;
    if (settings.role !== 'api') {
      worker = createWorker({
        settings,
        databaseUrl,
        pool,
        session,
        subscriptions: caches.subscriptions,
        health,
        log,
        tracing,
        onAttempt: metrics.observeAttempt,
        onPulled: metrics.observePulled,
        onGroup: (attempts) => metrics.observeGroup('record', attempts),
        onExpired: metrics.observeExpired,
      });
      metrics.watchInFlight(() => (worker as Worker).inFlight);
    }
    await abortable(setSqlLimits(pool, settings.maxBodyBytes), signal);
    // The start does not wait for it: with a million subscriptions it takes a second.
    void reportSecrets(pool, settings.encryptionKeys, log);
    stops.push(() => session.stop());
    await abortable(session.start(), signal);
    if (worker !== undefined) await abortable(worker.start(), signal);
    // The API and the worker stop together: a client that does not disconnect must not keep jobs coming.
    let api: RunningApi | undefined;
    stops.push(async () => {
      await Promise.all([api?.stop(), worker?.stop()]);
    });

    const ownReason = () =>
      worker !== undefined && worker.quietForMs > NO_JOBS_TAKEN_MS
        ? 'No jobs have been taken from the queue for a minute.'
        : health.reason();
    if (cluster.isWorker) {
      const stopTelling = tellReadiness(ownReason);
      stops.push(async () => stopTelling());
    }
    const otherPools = { ...pools.byName, ...worker?.pools };
    if (isServedByOthers()) {
      metrics.watchPools(otherPools);
      log.info({ role: settings.role }, 'posthorn is up');
      return { url: '', databaseUrl, embedded, stop };
    }
    const othersReason = createSiblingReadiness();
    // Loading the API keeps this thread busy for as long as all before took. Nobody waits for the API of a worker, and
    // its first webhooks would wait.
    if (settings.role === 'worker') await abortable((worker as Worker).begun, signal);
    const { startApi } = await import('./start-api.ts');
    api = await startApi({
      ...caches,
      settings,
      databaseUrl,
      sharesSessions,
      pool,
      listPool: pools.listPool,
      replica: pools.replica,
      otherPools,
      worker,
      polls,
      pullPlaces,
      events,
      metrics,
      log,
      tracing,
      notReady: async () => {
        try {
          await pool.query('select 1');
        } catch (error) {
          return `The database does not answer: ${errorMessage(error)}.`;
        }
        return ownReason() ?? othersReason();
      },
      signal,
    });
    const { url } = api;
    log.info({ url, role: settings.role, data: embedded?.dataDir }, 'posthorn is up');
    return { url, databaseUrl, embedded, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Gives the metrics the figures of the database, which one process of all reports. */
function reportDatabase(
  metrics: Metrics,
  pool: pg.Pool,
  session: Session,
  health: LoopHealth,
): void {
  const loop = health.watch('count_receivers', 'counting receivers that fail', SCRAPE_FORGOTTEN_MS);
  const isReporter = createReporter(session);
  metrics.watchDatabase(() =>
    watched(loop, async () => {
      if (!(await isReporter())) return null;
      const [receivers, queue] = await Promise.all([receiverCounts(pool), countQueue(pool)]);
      return { receivers, queue };
    }),
  );
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
