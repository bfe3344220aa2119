-- The trigger on webhook_payloads that posthorn.write_fence creates. It runs for webhooks of closed tenants only.
create or replace function posthorn.refuse_closed_tenant() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.require_open(new.tenant, true);
  return new;
end
$$;
comment on function posthorn.refuse_closed_tenant is 'Trigger: refuses a webhook of a tenant that is closed in this database.';
revoke execute on function posthorn.refuse_closed_tenant from public;
