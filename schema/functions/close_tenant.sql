-- The fence of a tenant that moves to another database: once this is committed, no transaction can commit a webhook of
-- it here, whatever it has read before.
--
-- The check is a trigger on webhook_payloads whose condition names the closed tenants. Creating it waits until no
-- transaction is open that has stored a webhook, and every later insert sees it, in transactions with an old
-- snapshot too. It does not exist before the first tenant is closed, so it costs nothing until then. After that it
-- costs a comparison for each webhook.
--
-- The row of the tenant is locked first, as by those who change something of it (require_open_tenant,
-- require_open_subscriptions), and then perhaps send.
create or replace function posthorn.close_tenant(tenant text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.require_tenant(close_tenant.tenant);
  update posthorn.tenants t set closed_at = clock_timestamp() where t.id = close_tenant.tenant and t.closed_at is null;
  perform posthorn.write_fence();
end
$$;
comment on function posthorn.close_tenant is
  'Closes a tenant in this database: from the commit on, nothing is accepted for it here (SQLSTATE PH002).';
revoke execute on function posthorn.close_tenant from public;
