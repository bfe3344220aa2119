import type { WorkerEvents } from 'graphile-worker';

/** The longest that the rest of a start waits for the first job: its receiver may take long. */
const LONGEST_MS = 2_000;

/** Says when a worker that has started has done its first job. */
export interface FirstJob {
  /** Call it at the start. */
  begin(): void;
  watch(events: WorkerEvents): void;
  /** Resolves when it has done its first job, or found none, and two seconds after `begin` at the latest. */
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
      events.on('job:complete', () => done.resolve());
    },
    done: done.promise,
  };
}
