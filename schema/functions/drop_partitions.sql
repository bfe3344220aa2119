create or replace function posthorn.drop_partitions(dropped date) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  suffix constant text := to_char(dropped, 'YYYYMMDD');
  owed boolean;
begin
  -- DROP locks the parent tables for a moment. While it waits for that lock, every insert waits behind it. So
  -- it gives up after a fifth of a second; the task keep_partitions tries again in an hour.
  perform set_config('lock_timeout', '200ms', true);
  execute format('lock table posthorn.%I in access exclusive mode', 'deliveries_' || suffix);
  execute format('select exists (select from posthorn.%I where state in (''pending'', ''held''))',
    'deliveries_' || suffix) into owed;
  if owed then
    return false;
  end if;
  execute format('drop table posthorn.%I, posthorn.%I, posthorn.%I',
    'webhook_payloads_' || suffix, 'deliveries_' || suffix, 'delivery_attempts_' || suffix);
  return true;
end
$$;
comment on function posthorn.drop_partitions is
  'Drops the partitions of a day (UTC) of history, unless a delivery of that day is unfinished. Returns whether it dropped them.';
revoke execute on function posthorn.drop_partitions from public;
