create or replace function posthorn.revoke_manager(role text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.revoke_right(role, 'manage');
end
$$;
comment on function posthorn.revoke_manager is
  'Takes from a role the right to manage subscriptions and deliveries in this database. The role may have been dropped already.';
revoke execute on function posthorn.revoke_manager from public;
