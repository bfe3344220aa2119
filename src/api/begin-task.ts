import type pg from 'pg';
import {
  createTask,
  type NewTask,
  type Task,
  TooManyTasksError,
} from '../bulk-operations/store.ts';
import { inTransaction } from '../db/transaction.ts';
import { Problem } from './problems.ts';

/**
 * Stores a task and queues the job that works on it.
 *
 * @throws Problem (409) when its tenant has too many unfinished tasks.
 */
export async function beginTask(pool: pg.Pool, task: NewTask): Promise<Task> {
  try {
    return await inTransaction(pool, (client) => createTask(client, task));
  } catch (error) {
    if (!(error instanceof TooManyTasksError)) throw error;
    throw new Problem(
      'conflict',
      `${error.message}; wait until a task has ended, or cancel a task.`,
    );
  }
}
