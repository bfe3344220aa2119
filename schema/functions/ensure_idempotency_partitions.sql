create or replace function posthorn.ensure_idempotency_partitions(first_day date, last_day date) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  child text;
  day date;
  made integer := 0;
begin
  for day in select generate_series(first_day, last_day, interval '1 day')::date loop
    child := 'idempotency_keys_' || to_char(day, 'YYYYMMDD');
    continue when to_regclass(format('posthorn.%I', child)) is not null;
    perform pg_advisory_xact_lock(1347637332, 0);
    continue when to_regclass(format('posthorn.%I', child)) is not null;
    execute format(
      'create table posthorn.%I (like posthorn.idempotency_keys including defaults including constraints including storage)',
      child);
    -- A unique index on the whole table would have to contain created_at.
    execute format('create unique index on posthorn.%I (key, tenant)', child);
    execute format(
      'alter table posthorn.idempotency_keys attach partition posthorn.%I for values from (%L) to (%L)',
      child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC');
    made := made + 1;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_idempotency_partitions is
  'Creates the missing partitions of idempotency_keys for these days (UTC). Returns how many it created.';
revoke execute on function posthorn.ensure_idempotency_partitions from public;
