-- Many go after few: who sends thousands at once holds up nobody who sends one. The queue takes jobs by
-- priority first. Intake by HTTP, which sees how much a sender sent in the last second, sets posthorn.bulk in
-- its transaction. An application that sends from SQL does not: what its transaction has sent is counted in
-- the setting posthorn.sent, which it may itself have set to anything. Neither writes to a table.
create or replace function posthorn.add_deliver_jobs(jobs graphile_worker.job_spec[], deliveries integer) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  bulk constant text := nullif(current_setting('posthorn.bulk', true), '');
  sent integer;
begin
  if bulk is null then
    sent := coalesce(substring(current_setting('posthorn.sent', true) from '^[0-9]{1,9}$'), '0')::integer + deliveries;
    perform set_config('posthorn.sent', least(sent, 999999999)::text, true);
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
comment on function posthorn.add_deliver_jobs is
  'Adds jobs for this many deliveries, with a lower priority if they are among many that were sent at once.';
revoke execute on function posthorn.add_deliver_jobs from public;
