-- For changes to deliveries and leases, which have no column that names their tenant.
create or replace function posthorn.require_open_subscriptions(ids integer[]) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- The lock, as in posthorn.require_open_tenant. The tenant default never moves, so its requests need no lock.
  perform posthorn.require_open(t.id, t.closed_at is not null)
  from (
    select t.id, t.closed_at from posthorn.tenants t
    where t.id <> 'default'
      and t.id in (select s.tenant from posthorn.subscriptions s where s.id = any (require_open_subscriptions.ids))
    order by t.id
    for share
  ) as t;
  return true;
end
$$;
comment on function posthorn.require_open_subscriptions is
  'Raises PH002 if the tenant of one of these subscriptions is closed. Otherwise none is closed before the transaction ends. Returns true.';
revoke execute on function posthorn.require_open_subscriptions from public;
