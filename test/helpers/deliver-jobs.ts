import type { Test } from 'tap';
import { connect } from './database.ts';
import type { TestService } from './service.ts';
import { until } from './until.ts';

/**
 * Counts the jobs that are added for deliveries from now on.
 *
 * @returns the names of the webhooks in these jobs, of each as often as there was a job for it.
 */
export async function watchJobs(t: Test, databaseUrl: string): Promise<() => Promise<string[]>> {
  const client = await connect(t, databaseUrl);
  await client.query(`
    create table public.added_jobs (webhook uuid);
    create function public.note_job() returns trigger language plpgsql as $$
      begin
        insert into public.added_jobs select json_array_elements_text(new.payload->'webhooks')::uuid
          where new.payload->'webhooks' is not null;
        return null;
      end $$;
    create trigger note_job after insert on graphile_worker._private_jobs
      for each row execute function public.note_job();`);
  return async () =>
    (await client.query<{ webhook: string }>('select webhook from public.added_jobs')).rows.map(
      ({ webhook }) => webhook,
    );
}

/** Waits until the service hands deliveries over, which it does a moment after its start. */
export async function untilHandedOver(
  t: Test,
  posthorn: Pick<TestService, 'databaseUrl' | 'ingest'>,
  subscriptionId: number,
): Promise<void> {
  const client = await connect(t, posthorn.databaseUrl);
  await until('deliveries are handed over', async () => {
    const id = await posthorn.ingest(subscriptionId, { warm: 'up' });
    const { rows } = await client.query<{ handed_to: number | null }>(
      'select handed_to from posthorn.deliveries where webhook_id = $1',
      [id],
    );
    return rows[0]?.handed_to != null;
  });
}
