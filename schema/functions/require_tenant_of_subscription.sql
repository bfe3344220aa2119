-- A trigger instead of a foreign key, because a deleted tenant still has a row. The lock prevents that the tenant
-- is deleted while it gets a subscription.
create or replace function posthorn.require_tenant_of_subscription() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  if new.tenant <> 'default' then
    perform from posthorn.tenants where id = new.tenant for share;
    perform posthorn.require_tenant(new.tenant);
  end if;
  return new;
end
$$;
comment on function posthorn.require_tenant_of_subscription is
  'Trigger: refuses a subscription whose tenant does not exist or was deleted.';
revoke execute on function posthorn.require_tenant_of_subscription from public;

create or replace trigger require_tenant before insert or update of tenant on posthorn.subscriptions
  for each row execute function posthorn.require_tenant_of_subscription();
