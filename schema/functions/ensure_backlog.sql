create or replace function posthorn.ensure_backlog() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  insert into posthorn.backlogs (subscription_id) values (new.id) on conflict do nothing;
  return null;
end
$$;
comment on function posthorn.ensure_backlog is
  'Trigger: adds a row to backlogs for a subscription whose deliveries are held from the start.';
revoke execute on function posthorn.ensure_backlog from public;

create or replace trigger ensure_backlog after insert or update on posthorn.subscriptions
  for each row when (new.through_backlog and new.deleted_at is null)
  execute function posthorn.ensure_backlog();
