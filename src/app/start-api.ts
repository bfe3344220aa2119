import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { createApp } from '../api/app.ts';
import { closeAfterAnswers } from '../api/http-server.ts';
import type { AppServices } from '../api/services.ts';
import { createSchemaJudge } from '../event-types/schema-judge.ts';
import { createIntake } from '../intake/intake.ts';
import type { NearbyWorker } from '../intake/nearby-worker.ts';
import { abortable } from '../lib/abortable.ts';
import { createTestSender } from '../sending/test-send.ts';
import { createPortalLinks } from '../sessions/portal-links.ts';
import { createSessions } from '../sessions/sessions.ts';
import { connectorOptionsOf } from './connector-options.ts';
import { listen } from './listen.ts';
import { settingsToShow } from './sibling-processes.ts';

/** Test requests that a process has in flight at once. No tenant may have all of them. */
const MAX_TESTS = 20;

/** The options of `startApi`: what the API shares with the rest of the process. */
export interface StartApiOptions
  extends Omit<
    AppServices,
    'intake' | 'sessions' | 'portalLinks' | 'schemas' | 'testSender' | 'serves' | 'placement'
  > {
  readonly databaseUrl: string;
  readonly sharesSessions: boolean;
  /** Undefined: this process does not deliver. */
  readonly worker: NearbyWorker | undefined;
  /** Pools of the rest of the process, by their names in the metrics. */
  readonly otherPools: Readonly<Record<string, pg.Pool>>;
  /** Ends the start. */
  readonly signal: AbortSignal | undefined;
}

/** An API that listens. */
export interface RunningApi {
  readonly url: string;
  /**
   * Takes requests for the shutdown delay, while it says that it is not ready. Then lets those under way finish,
   * within the grace period, and closes what the API has opened.
   */
  stop(): Promise<void>;
}

/**
 * Starts what only the API uses (the intake, sign-in, test requests), and the API itself.
 *
 * @throws OperatorError when it cannot listen; the reason of `signal` as soon as that aborts. Nothing is left
 *   running then.
 */
export async function startApi(options: StartApiOptions): Promise<RunningApi> {
  const { databaseUrl, sharesSessions, worker, otherPools, signal, ...shared } = options;
  const { settings, pool, metrics } = shared;
  const intake = createIntake(databaseUrl, sharesSessions, worker, (webhooks) =>
    metrics.observeGroup('accept', webhooks),
  );
  metrics.watchPools({ ...otherPools, ...intake.pools });
  const sessions = createSessions(pool, settings.adminKey);
  const schemas = createSchemaJudge();
  const testSender = createTestSender(connectorOptionsOf(settings), MAX_TESTS, settings.mail);
  const placement =
    settings.placement === undefined || settings.role === 'worker'
      ? undefined
      : (await import('../placement/placement.ts')).createPlacement(settings.placement, shared.log);
  let stopping = false;
  const app = await createApp({
    ...shared,
    notReady: async () => (stopping ? 'This process is stopping.' : await shared.notReady()),
    settings: { ...settings, inForce: settingsToShow(settings) },
    intake,
    sessions,
    portalLinks: createPortalLinks(pool, sessions.tokens),
    schemas,
    testSender,
    placement,
    serves: settings.role === 'worker' ? 'service' : 'everything',
  });
  const close = async () => {
    const timer = setTimeout(() => {
      testSender.stop();
      app.server.closeAllConnections();
    }, settings.shutdownGraceMs);
    await app.close();
    clearTimeout(timer);
    await Promise.all([intake.stop(), schemas.stop(), placement?.stop()]);
  };
  const stop = async () => {
    stopping = true;
    closeAfterAnswers(app.server);
    // No balancer sends anything to a worker.
    if (settings.role !== 'worker') await sleep(settings.shutdownDelayMs);
    await close();
  };
  try {
    if (placement !== undefined) await abortable(placement.start(), signal);
    return { url: await abortable(listen(app, settings), signal), stop };
  } catch (error) {
    await close();
    throw error;
  }
}
