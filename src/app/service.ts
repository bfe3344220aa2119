import cluster from 'node:cluster';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import { createApp } from '../api/app.ts';
import { CONCURRENT_REQUESTS } from '../api/plugins/turns.ts';
import { createEventReader } from '../api/stream/reader.ts';
import type { Settings } from '../config/settings.ts';
import { isTimeout, isUnavailable } from '../db/availability.ts';
import type { EmbeddedPostgres } from '../db/embedded/postgres.ts';
import { endSoon } from '../db/end-soon.ts';
import { POOL_PLANS } from '../db/planner.ts';
import { createPool } from '../db/pool.ts';
import { createReplica } from '../db/replica.ts';
import { createSession, NO_SESSION } from '../db/session.ts';
import { createDatabase } from '../db/types.ts';
import { createEventTypeCache } from '../event-types/cache.ts';
import { createPublicCatalogue } from '../event-types/public-catalogue.ts';
import { createSchemaJudge } from '../event-types/schema-judge.ts';
import { receiverCounts } from '../health/health.sql.ts';
import { createIntake } from '../intake/intake.ts';
import { setSqlLimits } from '../intake/limits.sql.ts';
import { createKeyring } from '../keys/keyring.ts';
import { abortable } from '../lib/abortable.ts';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { createLoopHealth, watched } from '../lib/loop-health.ts';
import { createSealer } from '../lib/sealing.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { countQueue } from '../metrics/queue-counts.sql.ts';
import { createReporter } from '../metrics/reporter.ts';
import { createPolls } from '../pull/polls.ts';
import { createTestSender } from '../sending/test-send.ts';
import { createPortalLinks } from '../sessions/portal-links.ts';
import { createSessions } from '../sessions/sessions.ts';
import { createSubscriptionCache } from '../subscriptions/cache.ts';
import { reportSecrets } from '../subscriptions/report-secrets.ts';
import { createTenantCache } from '../tenants/cache.ts';
import { DEFAULT_TENANT } from '../tenants/store.ts';
import { createTracing } from '../tracing/tracing.ts';
import { connectorOptionsOf } from './connector-options.ts';
import { openDatabase } from './open-database.ts';
import {
  createSiblingReadiness,
  isServedByOthers,
  settingsToShow,
  tellReadiness,
} from './sibling-processes.ts';
import { createWorker, type Worker } from './worker.ts';

/** For reads and rare statements; intake, deliveries and the queue have their own connections. */
const POOL_CONNECTIONS = 5;
/** For lists of history, which share their few prepared statements. No tenant may use all of them at once. */
const LIST_CONNECTIONS = CONCURRENT_REQUESTS;
/** For event streams: one for all that follow, one for those that are behind. Opened when a client comes. */
const STREAM_CONNECTIONS = 2;
/** Test requests that a process has in flight at once. No tenant may have all of them. */
const MAX_TESTS = 20;
const NO_JOBS_TAKEN_MS = 60_000;
/** A failure is forgotten after this time: without requests nothing is loaded, so nothing can succeed. */
const FORGOTTEN_MS = 30_000;
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

    const pool = createPool({
      connectionString: databaseUrl,
      purpose: settings.role,
      max: POOL_CONNECTIONS,
      sharesSessions,
    });
    const listPool = createPool({
      connectionString: databaseUrl,
      purpose: 'lists',
      max: LIST_CONNECTIONS,
      settings: POOL_PLANS.lists,
      sharesSessions,
    });
    const streamPool = createPool({
      connectionString: databaseUrl,
      purpose: 'streams',
      max: STREAM_CONNECTIONS,
      settings: POOL_PLANS.lists,
      sharesSessions,
    });
    const replica =
      settings.reportingUrl === undefined
        ? undefined
        : createReplica({ url: settings.reportingUrl, connections: LIST_CONNECTIONS, log });
    stops.push(() =>
      endSoon(...[pool, listPool, streamPool, replica?.pool].map((one) => one?.end())),
    );
    const health = createLoopHealth({
      log,
      isOutage: (error) => isUnavailable(error) && !isTimeout(error),
    });
    const loading = (cached: string) =>
      health.watch(`load_${cached.replaceAll(' ', '_')}`, `loading ${cached}`, FORGOTTEN_MS);
    const session = sharesSessions
      ? NO_SESSION
      : createSession({
          databaseUrl,
          purpose: 'session',
          loop: health.watch('session', 'keeping a database session open'),
          log,
        });
    const sealer = createSealer(settings.encryptionKeys);
    const subscriptions = createSubscriptionCache(pool, session, sealer, loading('subscriptions'));
    const polls = createPolls(session);
    const keyring = createKeyring(pool, session, health);
    const tenants = createTenantCache(pool, session, loading('tenants'));
    const eventTypes = createEventTypeCache(pool, session, loading('event types'));
    const db = createDatabase(pool);
    const publicCatalogue = createPublicCatalogue({
      db,
      session,
      loop: loading('public catalogue'),
      tenant: DEFAULT_TENANT,
      patterns: settings.publicCatalogue ?? [],
    });
    const metrics = createMetrics(settings);
    if (tracing !== undefined) metrics.watchSpans(() => tracing.counts);
    const counting = health.watch(
      'count_receivers',
      'counting receivers that fail',
      SCRAPE_FORGOTTEN_MS,
    );
    const isReporter = createReporter(session);
    metrics.watchDatabase(() =>
      watched(counting, async () => {
        if (!(await isReporter())) return null;
        const [receivers, queue] = await Promise.all([receiverCounts(pool), countQueue(pool)]);
        return { receivers, queue };
      }),
    );
    const events = createEventReader({
      pool: streamPool,
      loop: health.watch('stream_events', 'reading events for streams', FORGOTTEN_MS),
    });
    metrics.watchStreams(() => events.clients);
    metrics.watchLoops(() => health.loops);

    let worker: Worker | undefined;
    if (settings.role !== 'api') {
      worker = createWorker({
        settings,
        databaseUrl,
        pool,
        session,
        subscriptions,
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
    let stopApi = async (): Promise<void> => {};
    stops.push(async () => {
      await Promise.all([stopApi(), worker?.stop()]);
    });

    const ownReason = () =>
      worker !== undefined && worker.quietForMs > NO_JOBS_TAKEN_MS
        ? 'No jobs have been taken from the queue for a minute.'
        : health.reason();
    if (cluster.isWorker) {
      const stopTelling = tellReadiness(ownReason);
      stops.push(async () => stopTelling());
    }
    const pools = {
      api: pool,
      lists: listPool,
      streams: streamPool,
      ...(replica && { reports: replica.pool }),
      ...worker?.pools,
    };
    if (isServedByOthers()) {
      metrics.watchPools(pools);
      log.info({ role: settings.role }, 'posthorn is up');
      return { url: '', databaseUrl, embedded, stop };
    }

    const othersReason = createSiblingReadiness();
    const intake = createIntake(databaseUrl, sharesSessions, worker, (webhooks) =>
      metrics.observeGroup('accept', webhooks),
    );
    metrics.watchPools({ ...pools, ...intake.pools });
    const sessions = createSessions(pool, settings.adminKey);
    const schemas = createSchemaJudge();
    const testSender = createTestSender(connectorOptionsOf(settings), MAX_TESTS, settings.mail);
    const app = await createApp({
      settings: { ...settings, inForce: settingsToShow(settings) },
      pool,
      listPool,
      replica,
      db,
      intake,
      subscriptions,
      sealer,
      keyring,
      sessions,
      portalLinks: createPortalLinks(pool, sessions.tokens),
      tenants,
      eventTypes,
      publicCatalogue,
      schemas,
      testSender,
      polls,
      events,
      metrics,
      log,
      tracing,
      serves: settings.role === 'worker' ? 'service' : 'everything',
      notReady: async () => {
        try {
          await pool.query('select 1');
        } catch (error) {
          return `The database does not answer: ${errorMessage(error)}.`;
        }
        return ownReason() ?? othersReason();
      },
    });
    stopApi = async () => {
      const timer = setTimeout(() => {
        testSender.stop();
        app.server.closeAllConnections();
      }, settings.shutdownGraceMs);
      await app.close();
      clearTimeout(timer);
      await Promise.all([intake.stop(), schemas.stop()]);
    };
    await abortable(listen(app, settings), signal);
    const url = urlOf(app.server.address() as AddressInfo, settings.host);
    log.info({ url, role: settings.role, data: embedded?.dataDir }, 'posthorn is up');
    return { url, databaseUrl, embedded, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Returns the URL of an API that listens at the address. */
export function urlOf(
  { address, port }: Pick<AddressInfo, 'address' | 'port'>,
  host: string,
): string {
  const name = address ?? host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

async function listen(
  app: Awaited<ReturnType<typeof createApp>>,
  { host, port }: Settings,
): Promise<void> {
  try {
    await app.listen({
      host,
      port,
      listenTextResolver: (address) => `the API listens at ${address}`,
    });
  } catch (error) {
    switch (errorCode(error)) {
      case 'EADDRINUSE':
        throw new OperatorError(
          `Port ${port} on ${host} is taken. Stop what listens there, or set PORT to another port (PORT=0 finds a free port).`,
        );
      case 'EACCES':
        throw new OperatorError(
          `Port ${port} needs more rights than this user has. Set PORT to a port above 1023.`,
        );
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        throw new OperatorError(
          `HOST=${host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.`,
        );
      default:
        throw error;
    }
  }
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => {
    done ??= work();
    return done;
  };
}
