-- See readable_subscriptions.
create or replace view posthorn.readable_attempts with (security_barrier) as
select t.id, t.at, t.webhook_id, t.subscription_id, t.attempt_number, t.status, t.response_code, t.error_code, t.error,
  t.duration_ms, t.response_excerpt,
  t.first_byte_ms, t.dns_ms, t.connect_ms, t.tls_ms, t.webhook_timestamp
from posthorn.delivery_attempts t
where t.subscription_id in (
  select s.id from posthorn.subscriptions s
  where (select posthorn.readable_tenants()) is null or s.tenant = any ((select posthorn.readable_tenants())::text[]));
comment on view posthorn.readable_attempts is
  'The attempts of the tenants that the reader may read. Only for the view tenant_attempts.';
