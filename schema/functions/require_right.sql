create or replace function posthorn.require_right(may text, tenant text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant text[] := posthorn.allowed_tenants(array[may]);
  caller name;
begin
  if allowed is null or require_right.tenant = any (allowed) then
    return;
  end if;
  caller := coalesce(nullif(current_setting('role'), 'none'), session_user);
  raise exception 'the role "%" may not % for the tenant "%"', caller, may, tenant
    using errcode = 'insufficient_privilege',
      hint = format('As the owner of Posthorn''s schema, run: select posthorn.%s(%L, %L);',
        case may when 'send' then 'allow_sender' else 'allow_manager' end, caller,
        array(
          select unnest(r.tenants) from posthorn.rights r where r.role = caller and r.may = require_right.may
          union
          select require_right.tenant
          order by 1));
end
$$;
comment on function posthorn.require_right is
  'Raises insufficient_privilege (42501) if the role of the session is limited to other tenants.';
revoke execute on function posthorn.require_right from public;
