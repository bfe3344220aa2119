create or replace function posthorn.require_columns(rel regclass, names text[], parameter text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  name text;
begin
  if cardinality(names) = 0 then
    raise exception '% is an empty list', parameter
      using errcode = 'invalid_parameter_value', column = parameter, hint = 'Name columns, or leave it out to mean all columns.';
  end if;
  foreach name in array coalesce(names, '{}') loop
    perform from pg_attribute a
      where a.attrelid = rel and a.attname = name and a.attnum > 0 and not a.attisdropped;
    if not found then
      raise exception '% names the column %, which % does not have', parameter, coalesce('"' || name || '"', 'null'), rel
        using errcode = 'undefined_column', column = parameter,
          hint = format('Its columns are: %s.', (
            select string_agg(a.attname, ', ' order by a.attnum)
            from pg_attribute a
            where a.attrelid = rel and a.attnum > 0 and not a.attisdropped));
    end if;
  end loop;
end
$$;
comment on function posthorn.require_columns is
  'Raises undefined_column (42703) unless the table has all these columns.';
revoke execute on function posthorn.require_columns from public;
