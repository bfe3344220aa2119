-- No sender has to create a partition itself, even if no service runs for weeks.
create or replace function posthorn.ensure_reserve(days integer, days_left integer) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  covered record;
  made integer := 0;
begin
  perform pg_advisory_xact_lock(1347637332, 0);
  for covered in
    select p.parent, max(p.until_at) as until_at from posthorn.list_partitions() as p group by p.parent
  loop
    if covered.until_at < now() + days_left * interval '1 day' then
      perform posthorn.create_partition(covered.parent, covered.until_at,
        covered.until_at + days * interval '1 day');
      made := made + 1;
    end if;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_reserve is
  'Adds a partition of so many days to each table whose last partition ends within days_left days. Returns how many it created.';
revoke execute on function posthorn.ensure_reserve from public;
