import type { Task } from 'graphile-worker';
import type { TaskJob, TaskRunner } from '../src/bulk-operations/run.ts';

/** The `run_task` task: works on the task that its job names, for a turn. */
export function runTaskTask(runner: TaskRunner): Task {
  return async (payload) => {
    await runner.run(payload as TaskJob);
  };
}
