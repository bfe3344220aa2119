create or replace function posthorn.drop_idempotency_partitions() returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  child record;
  dropped integer := 0;
begin
  -- As in posthorn.drop_partitions: other statements wait while DROP waits for its lock.
  perform set_config('lock_timeout', '200ms', true);
  for child in
    select c.relname as name, to_date(right(c.relname, 8), 'YYYYMMDD') as day
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'posthorn.idempotency_keys'::regclass
    order by 2
  loop
    continue when (child.day + 2)::timestamp at time zone 'UTC' > now();
    execute format('drop table posthorn.%I', child.name);
    dropped := dropped + 1;
  end loop;
  return dropped;
end
$$;
comment on function posthorn.drop_idempotency_partitions is
  'Drops the partitions of days (UTC) whose idempotency keys are all older than 24 hours. Returns the number of these days.';
revoke execute on function posthorn.drop_idempotency_partitions from public;
