create or replace function posthorn.disable_subscription(id integer, reason text) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  circuit posthorn.circuits;
begin
  update posthorn.subscriptions s
  set status = 'disabled', status_reason = reason, status_changed_at = now(), updated_at = now()
  where s.id = disable_subscription.id and s.status <> 'disabled' and s.deleted_at is null;
  if not found then
    return false;
  end if;
  select * from posthorn.circuits c where c.subscription_id = disable_subscription.id into circuit;
  perform posthorn.send_subscription_event('disabled', id, reason, circuit);
  return true;
end
$$;
comment on function posthorn.disable_subscription is
  'Disables a subscription and sends the operational webhook. Returns false if the subscription was disabled already or does not exist.';
revoke execute on function posthorn.disable_subscription from public;
