import cluster, { type Address, type Worker } from 'node:cluster';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Role, Settings } from '../config/settings.ts';
import { OperatorError } from '../lib/errors.ts';
import { serveClusterMetrics } from '../metrics/cluster-metrics.ts';
import { urlOf } from './listen.ts';
import { openDatabase } from './open-database.ts';
import type { Service } from './service.ts';
import { environmentOf, environmentToShow, passOnReadiness, rolesOf } from './sibling-processes.ts';

/** Bounds of the pause before a restart, so that a process that dies at once does not keep the machine busy. */
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;
/** The pause starts again from its minimum after a process that lived this long. */
const HEALTHY_MS = 60_000;
/** A process whose channel to the supervisor has closed is killed after this time. */
const DISCONNECTED_MS = 5_000;

const WORKER_START = join(import.meta.dirname, 'worker-start.cjs');

/** The end of a process: an exit code, a signal, or the error with which it could not be started. */
interface End {
  readonly code?: number;
  readonly signal?: string;
  readonly err?: Error;
}

interface Child {
  readonly pid: number | undefined;
  readonly startedAt: number;
  /** The address at which it listens, once it does. */
  readonly listening: Promise<Address>;
  readonly ended: Promise<End>;
}

/**
 * Runs the service in `settings.processes` processes, some of which serve the API on one port and
 * the others deliver, and replaces each process that ends, for any reason. The database is opened
 * here, once, so that an embedded database outlives them.
 *
 * @param stopRequested ends the start.
 * @throws OperatorError as `startService` does. Its message is empty when the first process gave up
 *   starting, and has logged the reason itself, and when a stop was requested before it started.
 */
export async function startProcesses(
  settings: Settings,
  log: Logger,
  stopRequested: AbortSignal,
): Promise<Service> {
  const database = await openDatabase(settings, log, stopRequested);
  let stopping = false;
  let { port } = settings;
  let restartDelayMs = RESTART_MIN_MS;
  cluster.setupPrimary({ execArgv: [...process.execArgv, '--require', WORKER_START] });
  serveClusterMetrics();
  passOnReadiness();

  const start = (role: Role) =>
    startChild(
      {
        DATABASE_URL: database.url,
        PORT: String(port),
        ...environmentToShow(settings),
        ...(role === settings.role || role === 'all' ? {} : environmentOf(role)),
      },
      log,
    );

  /** Waits until a new process may be started in the place of a process that has ended. */
  async function backOff({ pid, startedAt }: Child, { code, signal, err }: End): Promise<void> {
    if (performance.now() - startedAt > HEALTHY_MS) restartDelayMs = RESTART_MIN_MS;
    const restartInMs = restartDelayMs;
    if (err !== undefined) {
      log.error(
        { reason: err.message, restartInMs },
        'a process could not be started; trying again',
      );
    } else {
      log.error(
        { process: pid, code, signal, restartInMs },
        'a process died; a new process is started',
      );
    }
    restartDelayMs = Math.min(RESTART_MAX_MS, restartDelayMs * 2);
    await sleep(restartInMs, undefined, { signal: stopRequested }).catch(() => {});
  }

  async function keepRunning(role: Role, first: Child): Promise<void> {
    for (let child = first; ; child = start(role)) {
      const end = await child.ended;
      if (stopping) return;
      await backOff(child, end);
      if (stopping) return;
    }
  }

  /** Starts the first process, which shows whether the service can start at all. */
  async function startFirst(role: Role): Promise<{ first: Child; address: Address }> {
    for (;;) {
      const first = start(role);
      stopRequested.addEventListener('abort', tellToStop);
      if (stopRequested.aborted) tellToStop();
      const outcome = await Promise.race([first.listening, first.ended]);
      stopRequested.removeEventListener('abort', tellToStop);
      if ('port' in outcome) return { first, address: outcome };
      // An exit code means that it gave up by itself. A process that was killed, or never ran, says nothing
      // about the settings.
      if (outcome.code === undefined) await backOff(first, outcome);
      if (outcome.code === undefined && !stopRequested.aborted) continue;
      await database.close();
      throw new OperatorError('');
    }
  }

  // The API and the worker have processes of their own: two that do both would halve the groups that
  // requests, loads and results share, and so pay for most of them twice.
  const [firstRole, ...otherRoles] =
    settings.role === 'all'
      ? rolesOf(settings.processes)
      : Array.from({ length: settings.processes }, () => settings.role);
  const listening = [firstRole, ...otherRoles].filter((role) => role !== 'worker').length;
  if (listening === 1) {
    // The process accepts its connections itself. A connection that the primary hands to a dying process
    // is lost, and its client waits for ever: with one process, that could be every client.
    cluster.schedulingPolicy = cluster.SCHED_NONE;
  }
  const { first, address } = await startFirst(firstRole as Role);
  // With PORT=0, a process that replaces the only listening process must listen at the same port. Several
  // share the port as it was asked for: another number would be another listener, and find it taken.
  if (listening === 1) port = address.port;
  const kept = [
    keepRunning(firstRole as Role, first),
    ...otherRoles.map((role) => keepRunning(role, start(role))),
  ];

  return {
    url: urlOf(address, settings.host),
    databaseUrl: database.url,
    embedded: database.embedded,
    async stop() {
      stopping = true;
      tellToStop();
      await Promise.all(kept);
      await database.close();
    },
  };
}

/**
 * Starts a process. No failure throws, here or later: a message to a process that has just died is an
 * error event of that process (`write EPIPE`), and so is a process that cannot be started for want of
 * files or memory, which then never exits.
 */
function startChild(environment: Record<string, string>, log: Logger): Child {
  const startedAt = performance.now();
  let worker: Worker;
  try {
    worker = cluster.fork(environment);
  } catch (error) {
    return {
      pid: undefined,
      startedAt,
      listening: new Promise(() => {}),
      ended: Promise.resolve({ err: error as Error }),
    };
  }
  const { pid } = worker.process;
  // Not by events.once(), which rejects at the first error event.
  const listening = new Promise<Address>((resolve) => {
    worker.once('listening', resolve);
  });
  const ended = new Promise<End>((resolve) => {
    worker.once('exit', (code, signal) => resolve(signal === null ? { code } : { signal }));
    worker.on('error', (err) => {
      log.debug({ err, process: pid }, 'a message to a process was lost');
      if (pid !== undefined) return;
      delete cluster.workers?.[worker.id];
      resolve({ err });
    });
  });
  worker.once('disconnect', () => {
    // Without its channel it gets no connections and is not told to stop.
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), DISCONNECTED_MS);
    void ended.then(() => clearTimeout(timer));
  });
  return { pid, startedAt, listening, ended };
}

/** Lets the processes end by themselves. */
function tellToStop(): void {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGTERM');
}

/** Ends the processes at once, without letting anything finish. */
export function killProcesses(): void {
  for (const worker of Object.values(cluster.workers ?? {})) worker?.process.kill('SIGKILL');
}
