import type { Task } from 'graphile-worker';

/**
 * The hourly `keep_partitions` task: creates the coming week's partitions and drops expired ones, and then
 * runs the longer steps: it erases expired bodies and creates missing indexes of past days. A step that
 * fails reports to its own loop, is tried again by itself, and stops no other.
 */
export function keepPartitionsTask(...steps: (() => Promise<unknown>)[]): Task {
  return async () => {
    for (const step of steps) await step();
  };
}
