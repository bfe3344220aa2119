-- 0002: the views that people read. They only read; docs/reporting.md has questions they answer.

create function posthorn.try_jsonb(body bytea) returns jsonb
  language plpgsql immutable strict parallel safe as $$
begin
  return convert_from(body, 'UTF8')::jsonb;
exception when others then
  -- JSON that jsonb cannot hold, such as \u0000 in a string: the bytes are still in the table.
  return null;
end
$$;
comment on function posthorn.try_jsonb(bytea) is 'The bytes as jsonb, or null where jsonb cannot hold them.';

create view posthorn.webhooks as
select
  id as webhook_id, accepted_at, tenant, event_type, content_type,
  posthorn.try_jsonb(body) as payload,
  length(body) as bytes
from posthorn.webhook_payloads;
comment on view posthorn.webhooks is 'A row a webhook, its payload as jsonb.';

create view posthorn.attempt_report as
select
  a.id, a.at, a.webhook_id, a.subscription_id, s.url as subscription_url, s.tenant,
  a.attempt_number, a.status, a.response_code, a.error_code, a.error, a.duration_ms,
  a.response_excerpt
from posthorn.delivery_attempts a
join posthorn.subscriptions s on s.id = a.subscription_id;
comment on view posthorn.attempt_report is 'A row an attempt, with the subscription it went to.';

create view posthorn.delivery_report as
select
  d.webhook_id, d.subscription_id, s.url as subscription_url, p.tenant, p.event_type,
  d.state, d.attempt_count as attempts,
  p.accepted_at, t.first_attempt_at, t.last_attempt_at, d.next_attempt_at, d.ended_at,
  d.ended_at - p.accepted_at as total_time,
  t.last_response_code, t.last_error
from posthorn.deliveries d
join posthorn.webhook_payloads p on p.id = d.webhook_id
join posthorn.subscriptions s on s.id = d.subscription_id
left join lateral (
  select
    min(a.at) as first_attempt_at,
    max(a.at) as last_attempt_at,
    (array_agg(a.response_code order by a.at desc))[1] as last_response_code,
    (array_agg(a.error order by a.at desc))[1] as last_error
  from posthorn.delivery_attempts a
  where a.webhook_id = d.webhook_id and a.subscription_id = d.subscription_id
) t on true;
comment on view posthorn.delivery_report is 'A row a delivery: where it stands and how it got there.';

create view posthorn.subscription_health as
select
  s.id as subscription_id, s.url as subscription_url, s.tenant,
  h.attempts_last_hour, h.success_rate_last_hour, h.p50_ms_last_hour, h.p95_ms_last_hour,
  h.attempts_last_day, h.success_rate_last_day, h.p50_ms_last_day, h.p95_ms_last_day,
  e.at as last_error_at, e.error_code as last_error_code, e.error as last_error
from posthorn.subscriptions s
left join lateral (
  select
    count(*) filter (where recent) as attempts_last_hour,
    avg((status = 'success')::integer) filter (where recent) as success_rate_last_hour,
    percentile_cont(0.5) within group (order by duration_ms) filter (where recent) as p50_ms_last_hour,
    percentile_cont(0.95) within group (order by duration_ms) filter (where recent) as p95_ms_last_hour,
    count(*) as attempts_last_day,
    avg((status = 'success')::integer) as success_rate_last_day,
    percentile_cont(0.5) within group (order by duration_ms) as p50_ms_last_day,
    percentile_cont(0.95) within group (order by duration_ms) as p95_ms_last_day
  from (
    select a.status, a.duration_ms, a.at > now() - interval '1 hour' as recent
    from posthorn.delivery_attempts a
    where a.subscription_id = s.id and a.at > now() - interval '1 day'
  ) as day
) h on true
left join lateral (
  select a.at, a.error_code, a.error
  from posthorn.delivery_attempts a
  where a.subscription_id = s.id and a.status <> 'success' and a.at > now() - interval '1 day'
  order by a.at desc
  limit 1
) e on true
where s.deleted_at is null;
comment on view posthorn.subscription_health is
  'A row a subscription: its attempts of the last hour and the last day, and its last error of the day.';
