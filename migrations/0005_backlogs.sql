-- 0005: many go after few: whoever sends thousands at once holds up nobody who sends one.
--
-- The queue takes jobs by their priority, and those of one priority in their order. Jobs of webhooks
-- that come in such numbers get the lower one. Intake, which sees what comes over HTTP in the last
-- second, says so by a setting of its transaction; an application that sends from SQL has none, and
-- what it sends in one transaction is counted in another such setting. Neither writes anything.
--
-- Locks: only new objects; nothing that exists is touched. Processes of the version before add jobs
-- of the usual priority.

create function posthorn.add_deliver_jobs(jobs graphile_worker.job_spec[], deliveries integer) returns void
  language plpgsql as $$
declare
  bulk constant text := nullif(current_setting('posthorn.bulk', true), '');
  sent integer;
begin
  if bulk is null then
    sent := coalesce(nullif(current_setting('posthorn.sent', true), ''), '0')::integer + deliveries;
    perform set_config('posthorn.sent', sent::text, true);
  end if;
  if bulk = 'on' or sent > 500 then
    perform graphile_worker.add_jobs(array_agg(
      (identifier, payload, queue_name, run_at, max_attempts, job_key, 1, flags)::graphile_worker.job_spec))
    from unnest(jobs);
  else
    perform graphile_worker.add_jobs(jobs);
  end if;
end
$$;
comment on function posthorn.add_deliver_jobs(graphile_worker.job_spec[], integer) is
  'Adds jobs that wake so many deliveries; after all others, when they are of many that came at once.';
revoke execute on function posthorn.add_deliver_jobs(graphile_worker.job_spec[], integer) from public;
