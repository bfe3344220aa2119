-- A sender, a reporter or a manager may call it, each for its own tenants.
create or replace function posthorn.status(webhook_id uuid)
  returns table (
    subscription_id integer,
    subscription_url text,
    state posthorn.delivery_state,
    -- Why it ended, if no attempt shows it: expired, skipped.
    reason text,
    attempts integer,
    next_attempt_at timestamptz,
    ended_at timestamptz,
    last_attempt_at timestamptz,
    last_status posthorn.attempt_status,
    last_response_code smallint,
    last_error_code text,
    last_error text
  )
  language plpgsql stable security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant text[] := posthorn.allowed_tenants('{send,read,manage}');
begin
  return query
    select s.id, posthorn.redact_url(s.url), d.state, d.reason, d.attempt_count::integer, d.next_attempt_at, d.ended_at,
      a.at, a.status, a.response_code, a.error_code, a.error
    from posthorn.deliveries d
    join posthorn.subscriptions s on s.id = d.subscription_id
    left join lateral (
      select l.at, l.status, l.response_code, l.error_code, l.error
      from posthorn.delivery_attempts l
      where l.webhook_id = d.webhook_id and l.webhook_id = status.webhook_id and l.subscription_id = d.subscription_id
      order by l.at desc
      limit 1
    ) as a on true
    where d.webhook_id = status.webhook_id and (allowed is null or s.tenant = any (allowed))
    order by s.id;
end
$$;
comment on function posthorn.status is
  'A row for each delivery of a webhook: its state, and the outcome of its last attempt.';
revoke execute on function posthorn.status from public;
