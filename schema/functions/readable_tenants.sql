-- The views tenant_… call it with the rights of their readers, so a reporter may call it. It tells a role its own
-- tenants only.
create or replace function posthorn.readable_tenants() returns text[]
  language plpgsql stable security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  return posthorn.allowed_tenants('{read}');
end
$$;
comment on function posthorn.readable_tenants is
  'The tenants whose reports the role of the session may read. Null: all tenants.';
revoke execute on function posthorn.readable_tenants from public;
