-- A row for each failure, because writers that update one counter would wait for each other.
-- The workers keep the table small (src/maintenance/watch-failures.ts).
create or replace function posthorn.note_watch_failure(watch integer, webhooks bigint, error text) returns void
  language sql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
  insert into posthorn.watch_failures (watch, webhooks, error)
    values (watch, greatest(webhooks, 1), left(error, 1000))
$$;
comment on function posthorn.note_watch_failure is
  'Counts webhooks that a watch with on_error => ''skip'' could not send.';
revoke execute on function posthorn.note_watch_failure from public;
