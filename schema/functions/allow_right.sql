-- A right is a grant on this database's functions and views, because roles and their memberships belong to the whole
-- server.
create or replace function posthorn.allow_right(role text, may text, tenants text[], bodies boolean) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  allowed text;
begin
  perform from pg_roles r where r.rolname = role;
  if not found then
    raise exception 'there is no role %', coalesce('"' || role || '"', 'null')
      using errcode = 'undefined_object',
        hint = 'Write the name as in pg_roles, without quotes of its own; create role makes a role.';
  end if;
  if cardinality(tenants) = 0 or array_position(tenants, null) is not null then
    raise exception 'the list of tenants is empty or has a null'
      using errcode = 'invalid_parameter_value',
        hint = 'Name the tenants, or leave them out to allow all; '
          || case may when 'send' then 'posthorn.revoke_sender' when 'read' then 'posthorn.revoke_reporter'
            else 'posthorn.revoke_manager' end || ' takes the right away.';
  end if;
  foreach allowed in array coalesce(tenants, '{}') loop
    perform posthorn.require_tenant(allowed);
  end loop;
  -- The earlier call may have allowed more.
  perform posthorn.revoke_right(role, may);
  insert into posthorn.rights (role, may, tenants, bodies)
    values (allow_right.role, allow_right.may, allow_right.tenants, allow_right.bodies);
  perform posthorn.grant_rights(role);
end
$$;
comment on function posthorn.allow_right is
  'Gives a role a right in this database: for all tenants, or for these only. It replaces what an earlier call gave.';
revoke execute on function posthorn.allow_right from public;
