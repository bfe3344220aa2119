create or replace function posthorn.unwatch(watch regclass) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set client_min_messages = warning
as $$
declare
  ended record;
  removed integer := 0;
begin
  for ended in select * from posthorn.find_watches(watch) loop
    -- Its triggers go with it.
    execute format('drop function %s cascade', ended.function);
    removed := removed + 1;
  end loop;
  return removed;
end
$$;
comment on function posthorn.unwatch is
  'Ends a watch, by its id, or all watches on a table. Returns how many there were.';
revoke execute on function posthorn.unwatch from public;
