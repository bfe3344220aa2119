-- The trigger of quiet partitions. It has the rights of the owner, because whoever retries a delivery has none on the table.
create or replace function posthorn.wake_history() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  insert into posthorn.woken_history (from_at)
  select q.from_at
  from posthorn.quiet_history q
  where q.from_at <= posthorn.uuidv7_time(new.webhook_id) and q.until_at > posthorn.uuidv7_time(new.webhook_id)
    and not exists (select from posthorn.woken_history w where w.from_at = q.from_at);
  -- So that SQL reports find it too (src/maintenance/live-views.ts). A prepared transaction cannot notify.
  if found and (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true then
    perform pg_notify('posthorn_history', '');
  end if;
  return new;
end
$$;
comment on function posthorn.wake_history is
  'The trigger of quiet partitions: notes that one has an unfinished delivery or a new attempt.';
revoke execute on function posthorn.wake_history from public;
