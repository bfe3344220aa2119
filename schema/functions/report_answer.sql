create or replace function posthorn.report_answer(id integer) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform from posthorn.subscriptions s where s.id = report_answer.id for no key update;
  update posthorn.circuits c
  set opened_at = null, probe_at = null, probe_interval_ms = null, down = 0, down_since = null
  where c.subscription_id = report_answer.id and c.opened_at is not null;
  return found;
end
$$;
comment on function posthorn.report_answer is
  'Records that the receiver answered a probe, although it refused the webhook: closes the circuit. Returns whether the circuit was open.';
revoke execute on function posthorn.report_answer from public;
