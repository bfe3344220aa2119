create or replace function posthorn.filter_is_predicate(filter jsonpath) returns boolean
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  shape constant text := regexp_replace(posthorn.filter_shape(filter), '^strict ', '');
  depth integer := 0;
begin
  if shape ~ '^(?:exists |!)\(' then
    return true;
  end if;
  if shape !~ '^\(' then
    return false;
  end if;
  for place in 1 .. length(shape) loop
    depth := depth + case substr(shape, place, 1) when '(' then 1 when ')' then -1 else 0 end;
    if depth = 0 then
      return substr(shape, place + 1) in ('', ' is unknown');
    end if;
  end loop;
  return false;
end
$$;
comment on function posthorn.filter_is_predicate is
  'True for a filter whose result is true or false ($.total > 100); false for a filter that selects part of the data ($ ? (@.total > 100)).';
revoke execute on function posthorn.filter_is_predicate from public;
