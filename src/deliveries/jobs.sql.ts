import type { DeliveryKeys } from './load.sql.ts';

/**
 * The payload of a `deliver` job: deliveries, and the number of the attempt that is due. The SQL function
 * `posthorn.deliver_job` builds it.
 */
export interface DeliverJob extends DeliveryKeys {
  readonly attempt: number;
  /** The size of their bodies together. */
  readonly bytes: number;
}

/** Deliveries that a job names at most: they share its cost for the queue. */
const MAX_JOB = 25;

/**
 * SQL that adds the jobs of deliveries which are due together: the queries `jobs` (payload, run_at) and
 * `added`, which the statement must read, or Postgres leaves it out.
 *
 * @param due SQL that gives webhook_id, subscription_id, attempt_count, next_attempt_at, bytes and
 *   `step`, which is the same for deliveries due together. A job is due with the last of its deliveries.
 * @param bulk SQL of whether a delivery is one of very many of its sender, so that the jobs of others go first.
 */
export function addJobsOf(due: string, bulk = 'false'): string {
  return `
      jobs as (
        select
          posthorn.deliver_job(
            attempt_count + 1, sum(bytes), array_agg(webhook_id), array_agg(subscription_id)) as payload,
          max(next_attempt_at) as run_at,
          case when bulk then 1 else 0 end as priority
        from (
          select *,
            row_number() over (partition by attempt_count, bulk, step order by next_attempt_at) / ${MAX_JOB} as job
          from (select *, ${bulk} as bulk from (${due}) as due) as due
        ) as numbered
        group by attempt_count, bulk, step, job
      ), added as (
        select count(job.id) as jobs
        from (
          select array_agg(
            ('deliver', payload, null, run_at, 32767, null, priority, null)::graphile_worker.job_spec) as specs
          from jobs
          having count(*) > 0
        ) as given, graphile_worker.add_jobs(given.specs) as job
      )`;
}
