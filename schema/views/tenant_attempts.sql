-- As attempt_report, for reporters that are limited to tenants. The other tables are read by the keys of readable rows.
create or replace view posthorn.tenant_attempts as
select
  a.id, a.at, a.webhook_id, a.subscription_id, posthorn.redact_url(s.url) as subscription_url, s.tenant,
  a.attempt_number, a.status, a.response_code, a.error_code, a.error, a.duration_ms,
  a.response_excerpt,
  a.first_byte_ms, a.dns_ms, a.connect_ms, a.tls_ms, a.webhook_timestamp
from posthorn.readable_attempts a
join posthorn.readable_subscriptions s on s.id = a.subscription_id;
comment on view posthorn.tenant_attempts is
  'The rows of attempt_report whose tenants the reader may read.';
