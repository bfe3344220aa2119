create or replace function posthorn.write_fence() returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- Before the tenants are read, so that of two calls the later one reads what the earlier one has committed. On the
  -- partitions too: creating the trigger needs it.
  lock table posthorn.webhook_payloads in share row exclusive mode;
  -- With no closed tenant the trigger stays, for nobody: dropping it would wait for readers too.
  execute format(
    'create or replace trigger refuse_closed_tenant before insert on posthorn.webhook_payloads
      for each row when (new.tenant = any (%L)) execute function posthorn.refuse_closed_tenant()',
    array(select t.id from posthorn.tenants t where t.closed_at is not null order by t.id));
end
$$;
comment on function posthorn.write_fence is
  'Writes the trigger that refuses webhooks of closed tenants: see posthorn.close_tenant.';
revoke execute on function posthorn.write_fence from public;
