-- If a sender sends thousands of webhooks at once (bulk), their jobs get a lower priority, and a single webhook
-- of another sender does not wait for them. Intake by HTTP counts the webhooks of a sender in the last second
-- and sets posthorn.bulk in its transaction. For an application that sends from SQL, this function counts the
-- deliveries of its transaction in the setting posthorn.sent. The application could set it to any text, so the
-- text is checked. Neither of the two writes to a table.
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
  'Adds jobs for so many deliveries, with a lower priority if they are bulk.';
revoke execute on function posthorn.add_deliver_jobs from public;
