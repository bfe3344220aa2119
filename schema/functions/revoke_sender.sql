create or replace function posthorn.revoke_sender(role text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  role_id oid;
begin
  delete from posthorn.senders s where s.role = revoke_sender.role;
  select r.oid from pg_roles r where r.rolname = revoke_sender.role into role_id;
  if not found then
    return;
  end if;
  execute format('revoke execute on function posthorn.send, posthorn.send_many from %I', role);
  -- A role that reads the views still needs the schema.
  perform from pg_shdepend d join pg_class c on d.classid = 'pg_class'::regclass and c.oid = d.objid
    where d.dbid = (select oid from pg_database where datname = current_database())
      and d.refclassid = 'pg_authid'::regclass and d.refobjid = role_id and d.deptype = 'a'
      and c.relnamespace = 'posthorn'::regnamespace;
  if not found then
    execute format('revoke usage on schema posthorn from %I', role);
  end if;
end
$$;
comment on function posthorn.revoke_sender is
  'Takes from a role the right to send in this database. The role may have been dropped already.';
revoke execute on function posthorn.revoke_sender from public;
