import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { runBatch } from './run.ts';
import { enqueueTask } from './store.ts';

/**
 * Begins to cancel the owed deliveries of a deleted subscription: one batch at once, the rest by the
 * workers.
 *
 * @param id of the task that the deletion stored.
 * @returns how many were cancelled at once, and the task's id if deliveries are left.
 */
export async function cancelDeleted(
  pool: pg.Pool,
  id: string,
): Promise<{ cancelled: number; task: string | null }> {
  return await inTransaction(pool, async (client) => {
    const batch = await runBatch(client, id);
    // Null: a worker already runs the task.
    if (batch?.ended) return { cancelled: batch.changed, task: null };
    await enqueueTask(client, id);
    return { cancelled: batch?.changed ?? 0, task: id };
  });
}
