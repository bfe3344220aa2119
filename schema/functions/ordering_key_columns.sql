create or replace function posthorn.ordering_key_columns(rel regclass, ordering_key text) returns text[]
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  names text[];
begin
  if ordering_key is null then
    return null;
  end if;
  names := array(select trim(c) from string_to_table(ordering_key, ',') as c);
  if names = '{pk}' and not exists (
    select from pg_attribute a where a.attrelid = rel and a.attname = 'pk' and a.attnum > 0 and not a.attisdropped
  ) then
    names := array(
      select a.attname
      from pg_index i, unnest(i.indkey) with ordinality as k (attnum, n)
      join pg_attribute a on a.attrelid = rel and a.attnum = k.attnum
      where i.indrelid = rel and i.indisprimary
      order by k.n);
    if cardinality(names) = 0 then
      raise exception '% has no primary key', rel
        using errcode = 'undefined_object', column = 'ordering_key', hint = 'Name the columns of the ordering key, with commas between them.';
    end if;
  end if;
  perform posthorn.require_columns(rel, names, 'ordering_key');
  return names;
end
$$;
comment on function posthorn.ordering_key_columns is
  'The columns that an ordering key names: with commas between them, or pk for the primary key.';
revoke execute on function posthorn.ordering_key_columns from public;
