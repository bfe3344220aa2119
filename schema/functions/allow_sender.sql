-- The right is a grant on this database's functions, because roles and their memberships belong to the whole
-- server. A new function for senders is added to the list below and to that of revoke_sender, and its own file
-- grants it to the roles of posthorn.senders.
create or replace function posthorn.allow_sender(role text, tenants text[] default null) returns void
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
        hint = 'Name the tenants, or leave them out to allow all; posthorn.revoke_sender takes the right away.';
  end if;
  foreach allowed in array coalesce(tenants, '{}') loop
    perform posthorn.require_tenant(allowed);
  end loop;
  insert into posthorn.senders (role, tenants) values (allow_sender.role, allow_sender.tenants)
    on conflict on constraint senders_pkey do update set tenants = excluded.tenants, updated_at = now();
  execute format('grant usage on schema posthorn to %I', role);
  execute format('grant execute on function posthorn.send, posthorn.send_many to %I', role);
end
$$;
comment on function posthorn.allow_sender is
  'Lets a role send in this database: for all tenants, or for these only. A further call replaces the tenants of the earlier one.';
revoke execute on function posthorn.allow_sender from public;
