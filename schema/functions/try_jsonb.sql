create or replace function posthorn.try_jsonb(body bytea) returns jsonb
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  return convert_from(body, 'UTF8')::jsonb;
exception when others then
  -- Some JSON cannot be stored as jsonb, such as \u0000 in a string. The table still has its bytes.
  return null;
end
$$;
comment on function posthorn.try_jsonb is
  'The bytes as jsonb, or null if jsonb cannot hold them.';
