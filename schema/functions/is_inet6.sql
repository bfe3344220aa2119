create or replace function posthorn.is_inet6(address text) returns boolean
  language plpgsql immutable parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  return family(address::inet) = 6 and host(address::inet) = address and strpos(address, '.') = 0;
exception when invalid_text_representation then
  return false;
end
$$;
comment on function posthorn.is_inet6 is
  'Whether a text is an IPv6 address as URLs spell it.';
revoke execute on function posthorn.is_inet6 from public;
