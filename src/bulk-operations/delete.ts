import type pg from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { runBatch } from './run.ts';
import { enqueueTask } from './store.ts';

/**
 * Begins to cancel what is owed to a deleted subscription: what a batch cancels at once, and the rest
 * by the workers.
 *
 * @param id of the task that the deletion stored.
 * @returns how many were cancelled at once, and the task's id if it goes on.
 */
export async function cancelDeleted(
  pool: pg.Pool,
  id: string,
): Promise<{ cancelled: number; task: string | null }> {
  return await inTransaction(pool, async (client) => {
    const batch = await runBatch(client, id);
    // Null: the waker was quicker, and a worker is at it.
    if (batch?.ended) return { cancelled: batch.changed, task: null };
    await enqueueTask(client, id);
    return { cancelled: batch?.changed ?? 0, task: id };
  });
}
