create or replace function posthorn.grant_rights(role text default null) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  given record;
  privilege text;
begin
  for given in
    select r.* from posthorn.rights r join pg_roles p on p.rolname = r.role
    where grant_rights.role is null or r.role = grant_rights.role
  loop
    execute format('grant usage on schema posthorn to %I', given.role);
    for privilege in select posthorn.privileges_of_right(given.may, given.tenants is not null, given.bodies) loop
      execute format('grant %s to %I', privilege, given.role);
    end loop;
  end loop;
end
$$;
comment on function posthorn.grant_rights is
  'Grants what posthorn.rights says: to this role, or to all roles in it.';
revoke execute on function posthorn.grant_rights from public;
