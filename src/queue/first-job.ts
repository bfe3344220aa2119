import type { WorkerEvents } from 'graphile-worker';

/** The longest that the rest of a start waits for the first job once it has begun: its receiver may take long. */
const JOB_MS = 4_000;
/**
 * The longest that it waits at all. Beside a busy database on a busy machine, two seconds passed before the first job began.
 * Then loading the API, a second of CPU time, came before the first webhooks.
 */
const LONGEST_MS = 10_000;

/** Says when a worker that has started has done its first job. */
export interface FirstJob {
  /** Call it at the start. */
  begin(): void;
  watch(events: WorkerEvents): void;
  /** Resolves when it has done its first job, or found none, four seconds after that has begun and ten after `begin` at the latest. */
  readonly done: Promise<void>;
}

export function createFirstJob(): FirstJob {
  const done = Promise.withResolvers<void>();
  let hasTaken = false;
  return {
    begin() {
      setTimeout(done.resolve, LONGEST_MS).unref();
    },
    watch(events) {
      events.on('localQueue:getJobs:complete', ({ jobs }) => {
        // The first fetch that finds some is followed by others before their jobs are done.
        if (jobs.length > 0) hasTaken = true;
        else if (!hasTaken) done.resolve();
      });
      events.once('job:start', () => void setTimeout(done.resolve, JOB_MS).unref());
      events.on('job:complete', () => done.resolve());
    },
    done: done.promise,
  };
}
