-- See deliveries_between. It has all columns of attempt_report but the bodies of answers, which not all reporters may
-- read.
create or replace function posthorn.attempts_between(since timestamptz, until timestamptz)
  returns table (
    id bigint, at timestamptz, webhook_id uuid, subscription_id integer, subscription_url text, tenant text,
    attempt_number smallint, status posthorn.attempt_status, response_code smallint, error_code text, error text,
    duration_ms integer, first_byte_ms integer, dns_ms smallint, connect_ms smallint, tls_ms smallint,
    webhook_timestamp integer
  )
  language sql stable parallel safe
begin atomic
  select r.id, r.at, r.webhook_id, r.subscription_id, r.subscription_url, r.tenant,
    r.attempt_number, r.status, r.response_code, r.error_code, r.error, r.duration_ms,
    r.first_byte_ms, r.dns_ms, r.connect_ms, r.tls_ms, r.webhook_timestamp
  from posthorn.attempt_report r
  where r.webhook_id >= posthorn.uuidv7_floor(since) and r.webhook_id < posthorn.uuidv7_floor(until);
end;
comment on function posthorn.attempts_between is
  'The rows of attempt_report of webhooks that were accepted from since on and before until, without the bodies of answers. It reads only the days of that period.';
revoke execute on function posthorn.attempts_between from public;
