create or replace function posthorn.droppable_days(keep interval)
  returns table (day date, owed boolean)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  child record;
begin
  for child in
    select to_date(right(c.relname, 8), 'YYYYMMDD') as day, c.relname as name
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'posthorn.deliveries'::regclass
    order by 1
  loop
    -- A day is past its retention when its last webhook is.
    continue when (child.day + 1)::timestamp at time zone 'UTC' > now() - keep;
    day := child.day;
    execute format('select exists (select from posthorn.%I where state in (''pending'', ''held''))', child.name)
      into owed;
    return next;
  end loop;
end
$$;
comment on function posthorn.droppable_days is
  'The days (UTC) of history that are entirely older than the retention, and whether a delivery of that day is unfinished.';
revoke execute on function posthorn.droppable_days from public;
