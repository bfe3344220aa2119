-- While no role is limited to tenants, the right to call the functions decides alone, and this costs one look into
-- a small table. Once a role is limited, the role of the session must be a sender itself: the functions run with
-- the rights of their owner and cannot see whether a security definer function of a limited role called them.
--
-- The setting `role` is what SET ROLE has set, also within functions that run with the rights of their owner. The
-- owner, members of the owner's role and superusers may send for all tenants.
create or replace function posthorn.require_sender(tenant text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  sender name;
begin
  perform from posthorn.senders s where s.tenants is not null limit 1;
  if not found then
    return;
  end if;
  sender := coalesce(nullif(current_setting('role'), 'none'), session_user);
  if pg_has_role(sender, current_user, 'usage') then
    return;
  end if;
  perform from posthorn.senders s join pg_roles r on r.rolname = s.role
    where (s.tenants is null or require_sender.tenant = any (s.tenants)) and pg_has_role(sender, r.oid, 'usage')
    limit 1;
  if not found then
    raise exception 'the role "%" may not send for the tenant "%"', sender, tenant
      using errcode = 'insufficient_privilege',
        hint = format('As the owner of Posthorn''s schema, run: select posthorn.allow_sender(%L, %L);', sender,
          array(
            select unnest(s.tenants) from posthorn.senders s where s.role = sender
            union
            select require_sender.tenant
            order by 1));
  end if;
end
$$;
comment on function posthorn.require_sender is
  'Raises insufficient_privilege (42501) if the role of the session is limited to other tenants.';
revoke execute on function posthorn.require_sender from public;
