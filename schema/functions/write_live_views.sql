-- Postgres plans, locks and opens every partition that a statement does not exclude by a constant, and a view has no
-- other way to say which days matter. So workers write these views again when days have become quiet or were woken
-- (src/maintenance/live-views.ts). Until then, a view has days too many, or lacks one that was woken just now.
create or replace function posthorn.write_live_views() returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  item record;
  condition text;
  comment text;
  written integer := 0;
begin
  -- The next statements see what was committed before it was granted.
  perform pg_advisory_xact_lock(1347637332, -9);
  for item in
    select * from (values
      ('live_deliveries', 'deliveries', null::timestamptz, 'Deliveries of days on which some may be unfinished'),
      -- A day more than the readers need, so that it need not be written to the minute.
      ('attempts_of_day', 'delivery_attempts', now() - interval '2 days', 'Attempts of days with attempts of the last day'),
      ('attempts_of_month', 'delivery_attempts', now() - interval '32 days', 'Attempts of days with attempts of the last month')
    ) as v (name, parent, since, about)
  loop
    select coalesce(string_agg(
        '(' || concat_ws(' and ', 'true', 'webhook_id >= ' || quote_literal(from_id), 'webhook_id < ' || quote_literal(below_id)) || ')',
        ' or ' order by from_id nulls first), 'true')
      from posthorn.live_history(item.since)
      into condition;
    comment := format('%s: %s', item.about, condition);
    if obj_description(format('posthorn.%I', item.name)::regclass, 'pg_class') is distinct from comment then
      execute format('create or replace view posthorn.%I as select %s from posthorn.%I where %s', item.name,
        (select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
          where attrelid = format('posthorn.%I', item.name)::regclass and attnum > 0),
        item.parent, condition);
      execute format('comment on view posthorn.%I is %L', item.name, comment);
      written := written + 1;
    end if;
  end loop;
  return written;
end
$$;
comment on function posthorn.write_live_views is
  'Writes the views of live history again, if their days have changed. Returns how many it wrote.';
revoke execute on function posthorn.write_live_views from public;
