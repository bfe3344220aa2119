create or replace function posthorn.cancel_backfill(backfill integer) returns boolean
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  update posthorn.backfill_runs b set state = 'cancelled', ended_at = clock_timestamp()
    where b.id = cancel_backfill.backfill and b.state in ('waiting', 'running');
  return found;
end
$$;
comment on function posthorn.cancel_backfill is
  'Ends a backfill after the portion that is being sent. Returns whether it had not ended.';
revoke execute on function posthorn.cancel_backfill from public;
