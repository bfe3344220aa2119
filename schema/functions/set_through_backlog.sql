create or replace function posthorn.set_through_backlog() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  new.through_backlog := new.status <> 'active' or new.circuit_open or new.ordering <> 'none'
    or new.rate_limit is not null or new.max_in_flight is not null or new.url is null;
  return new;
end
$$;
comment on function posthorn.set_through_backlog is
  'Trigger: decides whether the deliveries of a subscription are held from the start.';
revoke execute on function posthorn.set_through_backlog from public;

create or replace trigger set_through_backlog before insert or update on posthorn.subscriptions
  for each row execute function posthorn.set_through_backlog();
