-- Add new columns at the end. Postgres computes only the columns that a query uses. For each subscription, the
-- view counts at most 10,000 held deliveries, and the columns recent_… and attempts_per_second read at most
-- 1,000 attempts, so these stay fast with millions of them. The columns …_last_hour and …_last_day read all
-- attempts of a day.
--
-- It reads only the days that matter (posthorn.write_live_views), whatever the length of history.
create or replace view posthorn.subscription_health as
select
  s.id as subscription_id, posthorn.redact_url(s.url) as subscription_url, s.tenant,
  h.attempts_last_hour, h.success_rate_last_hour, h.p50_ms_last_hour, h.p95_ms_last_hour,
  h.attempts_last_day, h.success_rate_last_day, h.p50_ms_last_day, h.p95_ms_last_day,
  e.at as last_error_at, e.error_code as last_error_code, e.error as last_error,
  s.status, s.status_reason,
  case
    when c.opened_at is null then 'closed'
    when c.probe_at <= now() and s.status = 'active' then 'half_open'
    else 'open'
  end as circuit,
  c.failing_since, c.failures, c.opened_at,
  case when s.status = 'active' then c.probe_at end as next_probe_at,
  least(held.counted, 10000) as held,
  held.counted > 10000 as held_more,
  (
    -- A scheduled delivery is held from the time at which it was due.
    select case d.attempt_count when 0 then greatest(posthorn.uuidv7_time(d.webhook_id), d.next_attempt_at)
      else posthorn.uuidv7_time(d.webhook_id) end
    from posthorn.live_deliveries d
    where d.subscription_id = s.id and d.state = 'held'
    order by d.webhook_id
    limit 1
  ) as oldest_held_at,
  (
    select coalesce(sum(p.attempts), 0)::integer
    from (
      select max((w.in_flight ->> s.id::text)::integer) as attempts
      from posthorn.workers w
      where w.in_flight ? s.id::text
      group by w.host, w.pid
    ) as p
  ) + case when s.url is null
    then (select count(*)::integer from posthorn.leases l where l.subscription_id = s.id) else 0
  end as in_flight,
  r.recent_attempts, r.recent_success_rate, r.attempts_per_second, r.recent_error_at, r.recent_error_code,
  r.recent_error
from posthorn.subscriptions s
left join posthorn.circuits c on c.subscription_id = s.id
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
    from posthorn.attempts_of_day a
    where a.subscription_id = s.id and a.at > now() - interval '1 day'
  ) as day
) h on true
left join lateral (
  -- An aggregate of one row, because Postgres leaves an unused aggregate out of a query.
  select max(at) as at, max(error_code) as error_code, max(error) as error
  from (
    select a.at, a.error_code, a.error
    from posthorn.attempts_of_day a
    where a.subscription_id = s.id and a.status <> 'success' and a.at > now() - interval '1 day'
    order by a.at desc
    limit 1
  ) as newest
) e on true
left join lateral (
  select count(*)::integer as counted
  from (
    select from posthorn.live_deliveries d
    where d.subscription_id = s.id and d.state = 'held'
    limit 10001
  ) as counted_up_to
) held on true
left join lateral (
  select
    count(*)::integer as recent_attempts,
    avg((status = 'success')::integer) as recent_success_rate,
    -- Over the last minute, or over the time of the newest 1,000 attempts if that is shorter.
    count(*) filter (where at > now() - interval '1 minute')
      / case when count(*) = 1000
          then greatest(0.001, least(60, extract(epoch from clock_timestamp() - min(at))))
          else 60
        end as attempts_per_second,
    max(at) filter (where status <> 'success') as recent_error_at,
    (array_agg(error_code order by at desc) filter (where status <> 'success'))[1] as recent_error_code,
    (array_agg(error order by at desc) filter (where status <> 'success'))[1] as recent_error
  from (
    select a.at, a.status, a.error_code, a.error
    from posthorn.attempts_of_month a
    where a.subscription_id = s.id
    order by a.at desc
    limit 1000
  ) as newest
) r on true
where s.deleted_at is null;
comment on view posthorn.subscription_health is
  'A row for each subscription: the state of its receiver, its held deliveries, its attempts of the last hour and the last day, its newest 1,000 attempts of the last month (recent_…), and its last errors.';
