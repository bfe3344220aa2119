-- As delivery_report, for reporters that are limited to tenants. The other tables are read by the keys of readable rows.
create or replace view posthorn.tenant_deliveries as
select
  d.webhook_id, d.subscription_id, posthorn.redact_url(s.url) as subscription_url, p.tenant, p.event_type,
  d.state, d.attempt_count as attempts,
  p.accepted_at, t.first_attempt_at, t.last_attempt_at, d.next_attempt_at, d.ended_at,
  -- A scheduled delivery may have been cancelled, or sent by request, before its time.
  d.ended_at - case when p.deliver_at < d.ended_at then p.deliver_at else p.accepted_at end as total_time,
  t.last_response_code, t.last_error, p.deliver_at
from posthorn.readable_deliveries d
join posthorn.readable_subscriptions s on s.id = d.subscription_id
left join lateral (
  select max(w.accepted_at) as accepted_at, max(w.tenant) as tenant, max(w.event_type) as event_type,
    max(w.deliver_at) as deliver_at
  from posthorn.webhook_payloads w
  where w.id = d.webhook_id
) p on true
left join lateral (
  select
    min(a.at) as first_attempt_at,
    max(a.at) as last_attempt_at,
    (array_agg(a.response_code order by a.at desc))[1] as last_response_code,
    (array_agg(a.error order by a.at desc))[1] as last_error
  from posthorn.delivery_attempts a
  where a.webhook_id = d.webhook_id and a.subscription_id = d.subscription_id
) t on true;
comment on view posthorn.tenant_deliveries is
  'The rows of delivery_report whose tenants the reader may read.';
