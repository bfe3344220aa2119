-- A number is the id of a watch, and anything else is a table. Both are a regclass: Postgres turns numbers into one,
-- and gives tables of applications numbers from 16384 on, where the ids of watches end (posthorn.watch_ids).
create or replace function posthorn.find_watches(watch regclass) returns table (id integer, function regprocedure)
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  return query
    select substring(p.proname from '[0-9]+$')::integer, p.oid::regprocedure
    from pg_proc p
    where p.proname ~ '^posthorn_watch_[0-9]{1,5}$' and p.prosrc like '-- Posthorn watch: %'
      and pg_has_role(p.proowner, 'usage')
      and (p.proname = 'posthorn_watch_' || watch::oid
        or exists (select from pg_trigger t where t.tgrelid = watch and t.tgfoid = p.oid))
    order by 1;
  if found then
    return;
  elsif watch::oid < 16384 then
    raise exception 'there is no watch %', watch::oid
      using errcode = 'undefined_object', hint = 'The view posthorn.watches has the watches of your tables.';
  else
    raise exception 'you have no watch on %', coalesce(watch::text, 'null')
      using errcode = 'undefined_object', hint = 'The view posthorn.watches has the watches of your tables.';
  end if;
end
$$;
comment on function posthorn.find_watches is
  'The watches of the caller on a table, or the watch with an id, and their functions. Raises an error if there are none.';
revoke execute on function posthorn.find_watches from public;
