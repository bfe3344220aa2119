-- If a sender sends thousands of webhooks at once (bulk), their jobs get a lower priority, and a single webhook
-- of another sender does not wait for them. Intake by HTTP counts the webhooks of a sender in the last second
-- and sets posthorn.bulk in its transaction. For an application that sends from SQL, this function counts the
-- deliveries of its transaction in the setting posthorn.sent. The application could set it to any text, so the
-- text is checked. Neither of the two writes to a table.
create or replace function posthorn.add_deliver_jobs(payloads json[], deliveries integer) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  bulk constant text := nullif(current_setting('posthorn.bulk', true), '');
  sent integer;
  -- Null: the queue's default, which goes before 1.
  priority integer;
  payload json;
  jobs graphile_worker.job_spec[];
begin
  if bulk is null then
    sent := coalesce(substring(current_setting('posthorn.sent', true) from '^[0-9]{1,9}$'), '0')::integer + deliveries;
    perform set_config('posthorn.sent', least(sent, 999999999)::text, true);
  end if;
  if bulk = 'on' or sent > 500 then
    priority := 1;
  end if;
  foreach payload in array payloads loop
    jobs := jobs || ('deliver', payload, null, null, 32767, null, priority, null)::graphile_worker.job_spec;
  end loop;
  perform graphile_worker.add_jobs(jobs);
end
$$;
comment on function posthorn.add_deliver_jobs is
  'Adds jobs with these payloads for this many deliveries, with a lower priority if they are among many that were sent at once.';
revoke execute on function posthorn.add_deliver_jobs from public;
