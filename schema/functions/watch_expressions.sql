create or replace function posthorn.watch_expressions(
  options jsonb,
  key_columns text[],
  -- new or old
  side text,
  -- Null: all columns.
  out picked text,
  out key text,
  out tenant text
)
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  columns text;
begin
  key := 'null::text';
  tenant := 'null::text';
  if jsonb_typeof(options -> 'payload_columns') = 'array' then
    select string_agg(format('%s.%I', side, c), ', ' order by n)
      from jsonb_array_elements_text(options -> 'payload_columns') with ordinality as p (c, n)
      into columns;
    picked := format('(select to_jsonb(picked.*) from (select %s) as picked)', columns);
  end if;
  if key_columns is not null then
    select format('concat_ws('','', %s)', string_agg(format('%s.%I', side, c), ', ' order by n))
      from unnest(key_columns) with ordinality as k (c, n)
      into columns;
    key := format('case when length(%1$s) > 256 then md5(%1$s) else nullif(%1$s, '''') end', columns);
  end if;
  if options ->> 'tenant_column' is not null then
    tenant := format('%s.%I::text', side, options ->> 'tenant_column');
  end if;
end
$$;
comment on function posthorn.watch_expressions is
  'SQL expressions of a watch for its new or its old row: the picked columns as JSON, the ordering key, and the tenant.';
revoke execute on function posthorn.watch_expressions from public;
