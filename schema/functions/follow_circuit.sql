create or replace function posthorn.follow_circuit() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  followed constant integer := coalesce(new.subscription_id, old.subscription_id);
  opened constant boolean := new.opened_at is not null;
begin
  update posthorn.subscriptions set circuit_open = opened where id = followed and circuit_open <> opened;
  if not found then
    -- Caches also hold the failures and the time of the next probe.
    perform pg_notify('posthorn_subscriptions', followed::text);
  end if;
  return null;
end
$$;
comment on function posthorn.follow_circuit is
  'Trigger: sets subscriptions.circuit_open as the table circuits says, and notifies every process to reload the subscription.';
revoke execute on function posthorn.follow_circuit from public;

create or replace trigger follow_circuit after insert or delete on posthorn.circuits
  for each row execute function posthorn.follow_circuit();

create or replace trigger follow_circuit_update after update on posthorn.circuits
  for each row when (old.probe_at is distinct from new.probe_at)
  execute function posthorn.follow_circuit();
