create or replace function posthorn.require_tenant(tenant text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- The tenant that most webhooks belong to. It cannot be deleted.
  if tenant = 'default' then
    return;
  end if;
  perform from posthorn.tenants t where t.id = require_tenant.tenant and t.deleted_at is null;
  if not found then
    raise exception 'there is no tenant "%"', tenant
      using errcode = 'foreign_key_violation',
        hint = 'Create it by POST /v1/tenants, or leave the tenant out to use the tenant named default.';
  end if;
end
$$;
comment on function posthorn.require_tenant is
  'Raises foreign_key_violation (23503) unless the tenant exists and was not deleted.';
revoke execute on function posthorn.require_tenant from public;
