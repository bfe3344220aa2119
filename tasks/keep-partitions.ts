import type { Task } from 'graphile-worker';

/**
 * The hourly `keep_partitions` task: makes the coming week's partitions, drops the expired ones, and
 * then what takes longer: erases expired bodies, makes indexes of days that lack them. Each step tells its
 * own loop when it fails, is tried again by itself, and stops no other.
 */
export function keepPartitionsTask(...steps: (() => Promise<unknown>)[]): Task {
  return async () => {
    for (const step of steps) await step();
  };
}
