create or replace function posthorn.report_success(id integer) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  circuit posthorn.circuits;
begin
  perform from posthorn.subscriptions s where s.id = report_success.id for no key update;
  delete from posthorn.circuits c where c.subscription_id = report_success.id returning * into circuit;
  if circuit.told_at is not null then
    perform posthorn.send_subscription_event('recovered', id, 'Its receiver accepts webhooks again.', circuit);
  end if;
  return circuit.opened_at is not null;
end
$$;
comment on function posthorn.report_success is
  'Records that an attempt succeeded: deletes the record of failures. Returns whether the circuit was open.';
revoke execute on function posthorn.report_success from public;
