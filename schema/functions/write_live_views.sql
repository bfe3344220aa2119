-- Postgres plans, locks and opens every partition that a statement does not exclude by a constant, and neither a view nor
-- a function whose plans are kept has another way to say which days matter. So workers write these views again when days
-- have become quiet or were woken (src/maintenance/live-views.ts). Until then, a view has days too many, or lacks one that
-- was woken just now.
create or replace function posthorn.write_live_views(
  -- `pull` or `reports`. A report may read a view for minutes. Written in a transaction of their own, the views that
  -- pulling needs do not wait for it.
  used_by text
) returns integer
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
  if used_by = 'pull' then
    -- First: what is marked here is seen below.
    update posthorn.woken_history set in_views = true where not in_views;
  end if;
  for item in
    select * from (values
      ('pull', 'pullable_deliveries', 'deliveries', 'webhook_id', null::timestamptz, 'Deliveries of days on which some may be held'),
      ('pull', 'pullable_payloads', 'webhook_payloads', 'id', null, 'Webhooks of days on which some deliveries may be held'),
      ('reports', 'live_deliveries', 'deliveries', 'webhook_id', null, 'Deliveries of days on which some may be unfinished'),
      -- A day more than the readers need, so that it need not be written to the minute.
      ('reports', 'attempts_of_day', 'delivery_attempts', 'webhook_id', now() - interval '2 days', 'Attempts of days with attempts of the last day'),
      ('reports', 'attempts_of_month', 'delivery_attempts', 'webhook_id', now() - interval '32 days', 'Attempts of days with attempts of the last month')
    ) as v (used_by, name, parent, key, since, about)
    where v.used_by = write_live_views.used_by
  loop
    select coalesce(string_agg(
        '(' || concat_ws(' and ', 'true', item.key || ' >= ' || quote_literal(from_id), item.key || ' < ' || quote_literal(below_id)) || ')',
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
  'Writes the views of live history that pulling or reports use again, if their days have changed. Returns how many it wrote.';
revoke execute on function posthorn.write_live_views from public;
