create or replace function posthorn.open_tenant(tenant text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  update posthorn.tenants t set closed_at = null where t.id = open_tenant.tenant and t.closed_at is not null;
  if found then
    perform posthorn.write_fence();
  end if;
end
$$;
comment on function posthorn.open_tenant is 'Opens a tenant again that posthorn.close_tenant has closed.';
revoke execute on function posthorn.open_tenant from public;
