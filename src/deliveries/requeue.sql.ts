import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import type { DeliverJob } from './jobs.sql.ts';

/**
 * Hands a job back: the same deliveries, due at once, for any worker. A job that failed instead would
 * wait for the queue's own backoff.
 */
export async function requeue(pool: pg.Pool, job: DeliverJob): Promise<void> {
  await pool.query({
    name: 'requeue',
    text: `
      select from graphile_worker.add_job(
        'deliver', posthorn.deliver_job($1, $2, $3, $4), max_attempts => 32767)`,
    values: [job.attempt, job.bytes, plainArray(job.webhooks), plainArray(job.subscriptions)],
  });
}
