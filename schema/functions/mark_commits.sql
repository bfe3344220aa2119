-- The number of this transaction is assigned after now(), and all higher numbers after it.
create or replace function posthorn.mark_commits() returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  newest xid8;
begin
  select m.xid from posthorn.commit_marks m order by m.xid desc limit 1 into newest;
  -- age() is the distance to the next number: since the newest mark, nothing was written.
  if age(newest::xid) = 1 then
    return;
  end if;
  insert into posthorn.commit_marks (xid, at) values (pg_current_xact_id(), now()) on conflict do nothing;
  -- A reader may have a snapshot that is older than this one, and a standby one that is older by its delay.
  delete from posthorn.commit_marks
    where xid < (
      select m.xid from posthorn.commit_marks m
      where m.xid <= pg_snapshot_xmin(pg_current_snapshot()) and m.at < now() - interval '1 hour'
      order by m.xid desc
      limit 1);
end
$$;
comment on function posthorn.mark_commits is
  'Stores which transactions begin to write after now, for posthorn.committed_before.';
revoke execute on function posthorn.mark_commits from public;
