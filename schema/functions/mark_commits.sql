-- now() is before the snapshot, so each number of a transaction from `xid` on was assigned after `at`.
create or replace function posthorn.mark_commits() returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  insert into posthorn.commit_marks (xid, at)
    select pg_snapshot_xmax(pg_current_snapshot()), now()
    -- A transaction of this function has the only number since the last mark: nothing else was written.
    where not exists (
      select from posthorn.commit_marks m
      where m.xid::text::bigint >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)
    on conflict do nothing;
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
