-- The lock waits for the transactions that write to the two partitions, and none begins to write before the triggers are
-- there. So each later write is seen by a trigger. A worker's statement may lock all partitions, so the lock must be
-- short: the caller sets lock_timeout, and asks for one day in a transaction.
create or replace function posthorn.note_quiet_history(
  -- The partitions of one time: their tables, and that time.
  deliveries text, attempts text, from_at timestamptz, until_at timestamptz
) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  unfinished constant text := format('select exists (select from posthorn.%I where state in (''pending'', ''held''))', deliveries);
  on_update constant text := 'before insert or update of state on posthorn.%I for each row when (new.state in (''pending'', ''held''))';
  on_insert constant text := 'before insert on posthorn.%I for each row';
  is_unfinished boolean;
  last_ended_at timestamptz;
  item record;
begin
  execute unfinished into is_unfinished;
  if is_unfinished then
    return false;
  end if;
  execute format('lock table posthorn.%I, posthorn.%I in share row exclusive mode', deliveries, attempts);
  for item in select * from (values (deliveries, on_update), (attempts, on_insert)) as t (name, at_which) loop
    if not exists (
      select from pg_trigger t
      where t.tgrelid = format('posthorn.%I', item.name)::regclass and t.tgname = 'wake_history'
    ) then
      execute format('create trigger wake_history ' || item.at_which || ' execute function posthorn.wake_history()', item.name);
    end if;
  end loop;
  execute unfinished into is_unfinished;
  if is_unfinished then
    return false;
  end if;
  -- A delivery that succeeded has an attempt of that time.
  execute format(
    'select greatest((select max(at) from posthorn.%I), (select max(ended_at) from posthorn.%I where state in (''failed'', ''cancelled'')))',
    attempts, deliveries) into last_ended_at;
  delete from posthorn.woken_history w where w.from_at = note_quiet_history.from_at;
  insert into posthorn.quiet_history as q (from_at, until_at, last_ended_at) values (from_at, until_at, last_ended_at)
    on conflict on constraint quiet_history_pkey
    do update set until_at = excluded.until_at, last_ended_at = excluded.last_ended_at;
  perform pg_notify('posthorn_history', '');
  return true;
end
$$;
comment on function posthorn.note_quiet_history is
  'Notes that the partitions of a time are quiet, if no delivery there is unfinished. Returns whether they are.';
revoke execute on function posthorn.note_quiet_history from public;
