create or replace view posthorn.attempt_report as
select
  a.id, a.at, a.webhook_id, a.subscription_id, posthorn.redact_url(s.url) as subscription_url, s.tenant,
  a.attempt_number, a.status, a.response_code, a.error_code, a.error, a.duration_ms,
  a.response_excerpt,
  a.first_byte_ms, a.dns_ms, a.connect_ms, a.tls_ms, a.webhook_timestamp
from posthorn.delivery_attempts a
join posthorn.subscriptions s on s.id = a.subscription_id;
comment on view posthorn.attempt_report is 'A row for each attempt, with its subscription.';
