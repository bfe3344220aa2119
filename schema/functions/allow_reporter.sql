create or replace function posthorn.allow_reporter(role text, bodies boolean default false, tenants text[] default null) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.allow_right(role, 'read', tenants, coalesce(bodies, false));
end
$$;
comment on function posthorn.allow_reporter is
  'Lets a role read the reports of this database: for all tenants, or for these only, with or without the bodies of webhooks and of answers. A further call replaces the earlier one.';
revoke execute on function posthorn.allow_reporter from public;
