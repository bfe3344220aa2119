create or replace function posthorn.require_open(tenant text, is_closed boolean) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- `posthorn tenants move` copies into a closed tenant, and cleans one up. Senders have no right on the table, so the
  -- setting does nothing for them.
  if not is_closed or current_setting('posthorn.mover', true) = 'on'
    and has_table_privilege(session_user, 'posthorn.webhook_payloads', 'insert') then
    return;
  end if;
  raise exception 'the tenant "%" is closed in this database, because it moves or has moved to another one', tenant
    using errcode = 'PH002', detail = json_build_object('tenant', tenant),
      hint = 'Try again shortly, or in the database where it lives now (docs/placement.md).';
end
$$;
comment on function posthorn.require_open is 'Raises PH002 if the tenant is closed, unless the session is that of a move.';
revoke execute on function posthorn.require_open from public;
