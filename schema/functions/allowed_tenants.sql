-- While no role is limited to tenants, the right to call the functions decides alone, and this costs one look into
-- a small table. Once a role is limited, the role of the session must have the right itself: the functions run with
-- the rights of their owner and cannot see whether a security definer function of a limited role called them.
--
-- The setting `role` is what SET ROLE has set, also within functions that run with the rights of their owner. The
-- owner, members of the owner's role and superusers may do everything for all tenants. So only functions that run with
-- the rights of the owner may call this: there, current_user is the owner.
create or replace function posthorn.allowed_tenants(rights text[]) returns text[]
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  caller name;
  everything boolean;
  found_tenants text[];
begin
  perform from posthorn.rights r where r.may = any (rights) and r.tenants is not null limit 1;
  if not found then
    return null;
  end if;
  caller := coalesce(nullif(current_setting('role'), 'none'), session_user);
  if pg_has_role(caller, current_user, 'usage') then
    return null;
  end if;
  select coalesce(bool_or(r.tenants is null), false),
      coalesce(array_agg(distinct t.tenant) filter (where t.tenant is not null), '{}')
    from posthorn.rights r
    join pg_roles p on p.rolname = r.role
    left join unnest(r.tenants) as t (tenant) on true
    where r.may = any (rights) and pg_has_role(caller, p.oid, 'usage')
    into everything, found_tenants;
  return case when not everything then found_tenants end;
end
$$;
comment on function posthorn.allowed_tenants is
  'The tenants for which the role of the session has one of these rights. Null: all tenants.';
revoke execute on function posthorn.allowed_tenants from public;
