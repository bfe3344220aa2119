-- A trigger instead of a foreign key: a deleted tenant still has a row. The lock keeps it from being deleted
-- at the moment in which it gets a subscription.
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
  'Trigger: a subscription belongs to a tenant that exists and is not deleted.';
revoke execute on function posthorn.require_tenant_of_subscription from public;

create or replace trigger require_tenant before insert or update of tenant on posthorn.subscriptions
  for each row execute function posthorn.require_tenant_of_subscription();
