create or replace function posthorn.notify_placement_changed() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform pg_notify('posthorn_placements', left(coalesce(new.tenant, old.tenant), 256));
  return null;
end
$$;
comment on function posthorn.notify_placement_changed is
  'Trigger: every process of every home drops the placement of the tenant from its cache.';
revoke execute on function posthorn.notify_placement_changed from public;

create or replace trigger notify_changed after insert or update or delete on posthorn.placements
  for each row execute function posthorn.notify_placement_changed();
