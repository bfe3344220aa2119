create or replace function posthorn.forget_circuit() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  delete from posthorn.circuits where subscription_id = new.id;
  return null;
end
$$;
comment on function posthorn.forget_circuit is
  'Trigger: deletes the record of failures of a subscription that becomes active again, gets another URL or is deleted.';
revoke execute on function posthorn.forget_circuit from public;

create or replace trigger forget_circuit after update on posthorn.subscriptions
  for each row when (
    new.status = 'active' and old.status <> 'active'
    or new.url <> old.url
    or new.deleted_at is not null and old.deleted_at is null)
  execute function posthorn.forget_circuit();
