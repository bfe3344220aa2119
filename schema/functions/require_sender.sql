create or replace function posthorn.require_sender(tenant text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.require_right('send', tenant);
end
$$;
comment on function posthorn.require_sender is
  'Raises insufficient_privilege (42501) if the role of the session may send for other tenants only.';
revoke execute on function posthorn.require_sender from public;
