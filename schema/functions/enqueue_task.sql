-- A task has one waiting job: the job key replaces it. A job that runs already goes on, and each finds what the other
-- left.
create or replace function posthorn.enqueue_task(id uuid) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform graphile_worker.add_job(
      'run_task', json_build_object('task', t.id, 'tenant', t.tenant), run_at => t.due_at, max_attempts => 32767,
      job_key => 'task ' || t.id)
    from posthorn.tasks t where t.id = enqueue_task.id;
end
$$;
comment on function posthorn.enqueue_task is
  'Adds the job of a task, due with its next batch.';
revoke execute on function posthorn.enqueue_task from public;
