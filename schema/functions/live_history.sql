-- Without settings and with the rights of its caller, Postgres puts the query in the place of the call.
create or replace function posthorn.live_history(
  -- Null: only unfinished deliveries are looked for.
  since timestamptz
) returns table (from_id uuid, below_id uuid)
  language sql stable
begin atomic
  select posthorn.uuidv7_floor(lower(live)), posthorn.uuidv7_floor(upper(live))
  from unnest('{(,)}'::tstzmultirange - coalesce((
    select range_agg(tstzrange(q.from_at, q.until_at))
    from posthorn.quiet_history q
    where coalesce(q.last_ended_at < since, true)
      and not exists (select from posthorn.woken_history w where w.from_at = q.from_at)), '{}')) as live
  order by live;
end;
comment on function posthorn.live_history is
  'The ranges of ids in which unfinished deliveries may be, or attempts and deliveries that ended at or after a time. Null: to that side all.';
revoke execute on function posthorn.live_history from public;
