// What the processes of one supervisor know of each other.
import cluster from 'node:cluster';
import type { Logger } from 'pino';

const NOT_READY = 'posthorn:not-ready';
const TELL_MS = 5_000;
/** Set by the supervisor for a process that only delivers: the others serve its port. */
const SERVED_BY_OTHERS = 'SERVED_BY_OTHERS';

interface NotReady {
  readonly type: typeof NOT_READY;
  readonly reason: string | null;
}

/**
 * The roles of so many processes that share the work of one. To deliver costs twice what it costs to
 * accept; from four on there are two that accept, so that one may die without anybody being refused.
 */
export function rolesOf(count: number): ('api' | 'worker')[] {
  const apis = Math.max(count < 4 ? 1 : 2, Math.round(count / 3));
  return Array.from({ length: count }, (_, index) => (index < apis ? 'api' : 'worker'));
}

/** The environment of a process that has that role and shares the work with others. */
export function environmentOf(role: 'api' | 'worker'): Record<string, string> {
  return { POSTHORN_ROLE: role, ...(role === 'worker' ? { [SERVED_BY_OTHERS]: '1' } : {}) };
}

/** Whether the API of this process is another process's to serve. */
export function isServedByOthers(): boolean {
  return cluster.isWorker && process.env[SERVED_BY_OTHERS] === '1';
}

/**
 * In a process under a supervisor: it ends with the supervisor, at once, since nobody would replace it
 * or tell it to stop. Another worker takes over what it had in flight.
 */
export function endWithSupervisor(log: Logger): void {
  if (!cluster.isWorker) return;
  // Before Node's own listener, which exits.
  process.prependOnceListener('disconnect', () => {
    log.error('the supervisor has ended; this process ends too');
  });
  // A message that the supervisor did not live to read (`write EPIPE`); the disconnect follows. Node
  // gives the errors of `process` to the worker.
  cluster.worker?.on('error', (error) =>
    log.debug({ err: error }, 'a message to the supervisor was lost'),
  );
}

/** In the supervisor: tells each process why one of the others is not ready. */
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
    // What a process said last may be read after it has exited, and would stay for ever.
    if (message?.type !== NOT_READY || worker.isDead()) return;
    reasons.set(worker.id, message.reason);
    tell();
  });
  cluster.on('exit', (worker) => {
    if (reasons.delete(worker.id)) tell();
  });
}

/**
 * In one of several processes: tells the others every few seconds whether it is ready.
 *
 * @param reason why it is not, or null.
 * @returns a function that stops it.
 */
export function tellReadiness(reason: () => string | null): () => void {
  let told: string | null = null;
  const timer = setInterval(() => {
    const current = reason();
    // That all is well is told once: there are as many messages as processes, times that.
    if (current === null && told === null) return;
    told = current;
    process.send?.({ type: NOT_READY, reason: current } satisfies NotReady);
  }, TELL_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** In one of several processes: why one of the others is not ready, or null, as it was last told. */
export function createSiblingReadiness(): () => string | null {
  let reason: string | null = null;
  if (cluster.isWorker) {
    process.on('message', (message: NotReady) => {
      if (message?.type === NOT_READY) reason = message.reason;
    });
  }
  return () => reason;
}
