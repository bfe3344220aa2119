// Readiness, roles and settings, shared among the processes of one supervisor.
import cluster from 'node:cluster';
import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';

const NOT_READY = 'posthorn:not-ready';
const TELL_MS = 5_000;
/** Set by the supervisor for a process that only delivers: the others serve its port. */
const SERVED_BY_OTHERS = 'SERVED_BY_OTHERS';
/** Set by the supervisor: its own settings as texts without secrets. It gives its processes others, such as the role. */
const SETTINGS_IN_FORCE = 'SETTINGS_IN_FORCE';

interface NotReady {
  readonly type: typeof NOT_READY;
  readonly reason: string | null;
}

/**
 * Returns the roles of `count` processes that share the work. Delivering costs twice as much as
 * accepting; from four processes on two accept, so that requests are still accepted while a process restarts.
 */
export function rolesOf(count: number): ('api' | 'worker')[] {
  const apis = Math.max(count < 4 ? 1 : 2, Math.round(count / 3));
  return Array.from({ length: count }, (_, index) => (index < apis ? 'api' : 'worker'));
}

/** Returns the environment of a process with that role that shares the work with others. */
export function environmentOf(role: 'api' | 'worker'): Record<string, string> {
  return { POSTHORN_ROLE: role, ...(role === 'worker' ? { [SERVED_BY_OTHERS]: '1' } : {}) };
}

/** Returns the environment by which a process shows the settings of its supervisor as its own. */
export function environmentToShow({ inForce }: Settings): Record<string, string> {
  return { [SETTINGS_IN_FORCE]: JSON.stringify(inForce) };
}

/** Returns the settings that the operator has set, for this process or for its supervisor. */
export function settingsToShow({ inForce }: Settings): Settings['inForce'] {
  const ofSupervisor = cluster.isWorker ? process.env[SETTINGS_IN_FORCE] : undefined;
  return ofSupervisor === undefined ? inForce : JSON.parse(ofSupervisor);
}

/** Returns true if this process does not serve the API because other processes do. */
export function isServedByOthers(): boolean {
  return cluster.isWorker && process.env[SERVED_BY_OTHERS] === '1';
}

/**
 * Makes a process under a supervisor end with it, at once, since nothing would replace it or tell it to
 * stop. Another worker takes over its deliveries in flight.
 */
export function endWithSupervisor(log: Logger): void {
  if (!cluster.isWorker) return;
  // Before Node's own listener, which exits.
  process.prependOnceListener('disconnect', () => {
    log.error('the supervisor has ended; this process ends too');
  });
  // The supervisor died before it read a message (`write EPIPE`); the disconnect follows. Node emits
  // such errors of `process` on the worker.
  cluster.worker?.on('error', (error) =>
    log.debug({ err: error }, 'a message to the supervisor was lost'),
  );
}

/** Makes the supervisor tell each process why another process is not ready. */
export function passOnReadiness(): void {
  const reasons = new Map<number, string | null>();
  const tell = () => {
    for (const worker of Object.values(cluster.workers ?? {})) {
      if (!worker?.isConnected()) continue;
      const ofOthers = [...reasons].find(([id, reason]) => id !== worker.id && reason !== null);
      worker.send({ type: NOT_READY, reason: ofOthers?.[1] ?? null } satisfies NotReady);
    }
  };
  cluster.on('message', (worker, message: NotReady) => {
    // A dead process's last message may be read after its exit, and would count for ever.
    if (message?.type !== NOT_READY || worker.isDead()) return;
    reasons.set(worker.id, message.reason);
    tell();
  });
  cluster.on('exit', (worker) => {
    if (reasons.delete(worker.id)) tell();
  });
}

/**
 * Tells the other processes every few seconds whether this process is ready.
 *
 * @param reason returns why it is not ready, or null.
 * @returns a function that stops it.
 */
export function tellReadiness(reason: () => string | null): () => void {
  let told: string | null = null;
  const timer = setInterval(() => {
    const current = reason();
    // Readiness is told once, since each message is passed on to all processes.
    if (current === null && told === null) return;
    told = current;
    process.send?.({ type: NOT_READY, reason: current } satisfies NotReady);
  }, TELL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Creates a function that returns why another process is not ready, by its last message, or null. */
export function createSiblingReadiness(): () => string | null {
  let reason: string | null = null;
  if (cluster.isWorker) {
    process.on('message', (message: NotReady) => {
      if (message?.type === NOT_READY) reason = message.reason;
    });
  }
  return () => reason;
}
