create or replace function posthorn.revoke_right(role text, may text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  role_id oid;
  privilege text;
begin
  delete from posthorn.rights r where r.role = revoke_right.role and r.may = revoke_right.may;
  if not found then
    return;
  end if;
  select r.oid from pg_roles r where r.rolname = revoke_right.role into role_id;
  if not found then
    return;
  end if;
  for privilege in select posthorn.privileges_of_right(may, false, true) loop
    execute format('revoke %s from %I', privilege, role);
  end loop;
  -- Another right of the role may need the same function.
  perform posthorn.grant_rights(role);
  -- A role that was granted a view or a function by hand still needs the schema.
  perform from pg_shdepend d
    left join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
    left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
    where d.dbid = (select oid from pg_database where datname = current_database())
      and d.refclassid = 'pg_authid'::regclass and d.refobjid = role_id and d.deptype = 'a'
      and 'posthorn'::regnamespace in (c.relnamespace, p.pronamespace);
  if not found then
    execute format('revoke usage on schema posthorn from %I', role);
  end if;
end
$$;
comment on function posthorn.revoke_right is
  'Takes a right in this database from a role. The role may have been dropped already.';
revoke execute on function posthorn.revoke_right from public;
