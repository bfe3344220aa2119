create or replace function posthorn.require_subscription(id integer, tenants text[]) returns text
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  owner text;
begin
  select s.tenant from posthorn.subscriptions s
    where s.id = require_subscription.id and s.deleted_at is null and (tenants is null or s.tenant = any (tenants))
    into owner;
  if not found then
    raise exception 'there is no subscription %', coalesce(id::text, 'null')
      using errcode = 'foreign_key_violation',
        hint = case when tenants is null then 'posthorn.subscriptions has the subscriptions that are not deleted.'
          else 'You may manage the subscriptions of these tenants: ' || array_to_string(tenants, ', ') || '.' end;
  end if;
  return owner;
end
$$;
comment on function posthorn.require_subscription is
  'Returns the tenant of a subscription. Raises foreign_key_violation (23503) if none of these tenants (null: no tenant) has it.';
revoke execute on function posthorn.require_subscription from public;
