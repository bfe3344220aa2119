import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Role, Settings } from './config.ts';
import { openDatabase } from './db/open.ts';
import { OperatorError } from './lib/errors.ts';
import { serveClusterMetrics } from './metrics.ts';
import { type Service, urlOf } from './service.ts';
import { environmentOf, passOnReadiness, rolesOf } from './siblings.ts';

/** What dies as soon as it is started must not keep the machine busy with starting it. */
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
/** Whatever ends a process that has lived this long is not what ended the one before it. */
const HEALTHY_MS = 60_000;

/**
 * Runs the service in `settings.processes` processes, some of which serve the API on one port and
 * the others deliver, and starts another one for each that dies. The database is opened here, once, so that an embedded one outlives them.
 *
 * @throws OperatorError as `startService` does. Its message is empty when the first process could
 *   not start: that one has told the reason itself.
 */
export async function startProcesses(settings: Settings, log: Logger): Promise<Service> {
  const database = await openDatabase(settings, log);
  let stopping = false;
  let { port } = settings;
  let restartDelayMs = RESTART_MIN_MS;
  serveClusterMetrics();
  passOnReadiness();

  function fork(role: Role): Worker {
    const worker = cluster.fork({
      DATABASE_URL: database.url,
      PORT: String(port),
      ...(role === settings.role || role === 'all' ? {} : environmentOf(role)),
    });
    worker.on('error', (error) => {
      log.debug({ err: error, process: worker.process.pid }, 'a message to a process was lost');
    });
    return worker;
  }

  async function keepRunning(role: Role, first: Worker): Promise<void> {
    for (let worker = first; ; worker = fork(role)) {
      const startedAt = performance.now();
      const [code, signal] = await once(worker, 'exit');
      if (stopping) return;
      if (performance.now() - startedAt > HEALTHY_MS) restartDelayMs = RESTART_MIN_MS;
      log.error(
        { process: worker.process.pid, code, signal, restartInMs: restartDelayMs },
        'a process died; another one is started',
      );
      await sleep(restartDelayMs);
      restartDelayMs = Math.min(RESTART_MAX_MS, restartDelayMs * 2);
      if (stopping) return;
    }
  }

  // Each half in processes of its own: two that do both would halve the groups that requests, loads
  // and results share, and so pay most of them twice.
  const [firstRole, ...otherRoles] =
    settings.role === 'all'
      ? rolesOf(settings.processes)
      : Array.from({ length: settings.processes }, () => settings.role);
  const listening = [firstRole, ...otherRoles].filter((role) => role !== 'worker').length;
  if (listening === 1) {
    // It takes its connections itself. One that the primary has handed to a process that is just
    // dying is nobody's, and its client would wait for ever: all clients, where there is one process.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
  }
  const first = fork(firstRole as Role);
  const address = await Promise.race([
    once(first, 'listening').then(([listening]) => listening as AddressInfo),
    once(first, 'exit').then(() => undefined),
  ]);
  if (address === undefined) {
    await database.close();
    throw new OperatorError('');
  }
  // With PORT=0, whoever replaces the one process that listens must be found where that one was. Several
  // share what was asked for: another number would be another listener, and find the port taken.
  if (listening === 1) port = address.port;
  const kept = [
    keepRunning(firstRole as Role, first),
    ...otherRoles.map((role) => keepRunning(role, fork(role))),
  ];

  return {
    url: urlOf(address, settings.host),
    databaseUrl: database.url,
    embedded: database.embedded,
    async stop() {
      stopping = true;
      for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM');
      await Promise.all(kept);
      await database.close();
    },
  };
}

/** Ends the processes at once, without letting anything finish. */
export function killProcesses(): void {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
}
