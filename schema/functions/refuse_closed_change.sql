create or replace function posthorn.refuse_closed_change() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.require_open(old.id, true);
  return new;
end
$$;
comment on function posthorn.refuse_closed_change is 'Trigger: refuses changes to a tenant that is closed in this database.';
revoke execute on function posthorn.refuse_closed_change from public;

create or replace trigger require_open before update of name, metadata, retention_ms, strict_event_types, validate_event_types,
    portal, deleted_at
  on posthorn.tenants for each row when (old.closed_at is not null) execute function posthorn.refuse_closed_change();
