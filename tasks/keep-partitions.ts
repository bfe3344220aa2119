import type { Task } from 'graphile-worker';

/** The hourly `keep_partitions` task: makes the coming week's partitions, drops the expired ones. */
export function keepPartitionsTask(keepPartitions: () => Promise<void>): Task {
  return async () => {
    await keepPartitions();
  };
}
