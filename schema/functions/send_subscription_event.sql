create or replace function posthorn.send_subscription_event(what text, id integer, reason text, circuit posthorn.circuits) returns void
  language sql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
  select posthorn.send_operational_webhook(
    'posthorn.subscription.' || what,
    jsonb_build_object(
      'subscription_id', s.id,
      'url', s.url,
      'status', s.status,
      'reason', reason,
      'failing_since', circuit.failing_since,
      'failures', circuit.failures,
      'last_error_code', circuit.last_error_code,
      'last_error', circuit.last_error),
    s.tenant)
  from posthorn.subscriptions s
  where s.id = send_subscription_event.id;
  select posthorn.send_notices(what, id, reason, circuit);
$$;
comment on function posthorn.send_subscription_event is
  'Sends the operational webhook posthorn.subscription.<what> about a subscription, and the notices about it.';
revoke execute on function posthorn.send_subscription_event from public;
