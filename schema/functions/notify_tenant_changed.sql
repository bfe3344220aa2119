create or replace function posthorn.notify_tenant_changed() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- No cache holds longer names, and a notification takes at most 8,000 bytes.
  perform pg_notify('posthorn_tenants', left(coalesce(new.id, old.id), 256));
  return null;
end
$$;
comment on function posthorn.notify_tenant_changed is
  'Trigger: every process drops the tenant from its cache.';
revoke execute on function posthorn.notify_tenant_changed from public;

create or replace trigger notify_changed after insert or update or delete on posthorn.tenants
  for each row execute function posthorn.notify_tenant_changed();
