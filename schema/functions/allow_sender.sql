create or replace function posthorn.allow_sender(role text, tenants text[] default null) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.allow_right(role, 'send', tenants, false);
end
$$;
comment on function posthorn.allow_sender is
  'Lets a role send in this database: for all tenants, or for these only. A further call replaces the tenants of the earlier one.';
revoke execute on function posthorn.allow_sender from public;
