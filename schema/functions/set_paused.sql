-- A subscription whose backlog is being skipped (deliveries/skip.sql.ts, which has the same reason) becomes active when
-- that is done. Before, deliveries that are to be cancelled would be sent.
create or replace function posthorn.set_paused(
  id integer,
  -- False: makes a paused subscription active.
  paused boolean,
  reason text default null,
  -- Whether a subscription that is paused already gets this reason too.
  replaces boolean default false
) returns posthorn.subscription_status
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  status posthorn.subscription_status;
begin
  perform posthorn.require_open_subscriptions(array[set_paused.id]);
  if paused then
    update posthorn.subscriptions s
    set status = 'paused', status_reason = reason,
        status_changed_at = case s.status when 'paused' then s.status_changed_at else now() end, updated_at = now()
    where s.id = set_paused.id and s.deleted_at is null
      and (s.status = 'active' or s.status = 'paused' and replaces);
  else
    update posthorn.subscriptions s
    set status = case when s.skip_until is null then 'active' else s.status end,
        status_reason = case when s.skip_until is not null
          then 'It is being enabled: its owed deliveries are being skipped.' end,
        status_changed_at = now(), updated_at = now()
    where s.id = set_paused.id and s.deleted_at is null and s.status = 'paused';
  end if;
  select s.status from posthorn.subscriptions s where s.id = set_paused.id into status;
  return status;
end
$$;
comment on function posthorn.set_paused is
  'Pauses or resumes a subscription. A disabled subscription stays disabled. Returns its status afterwards.';
revoke execute on function posthorn.set_paused from public;
