create or replace function posthorn.notify_event_type_rules_changed() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify('posthorn_event_types', left(new.id, 256));
  return null;
end
$$;
comment on function posthorn.notify_event_type_rules_changed is
  'Trigger: every process drops the event types of a tenant from its cache when the tenant changes what it accepts.';
revoke execute on function posthorn.notify_event_type_rules_changed from public;

create or replace trigger notify_event_type_rules_changed
  after insert or update of strict_event_types, validate_event_types on posthorn.tenants
  for each row execute function posthorn.notify_event_type_rules_changed();
