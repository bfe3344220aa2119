-- The only list of what a right consists of. A function that roles may call is added here. Each change of the schema
-- grants the list again to the roles that have the right (src/db/schema-files.ts).
--
-- Columns are granted by name, so a column that a later version adds is not read before it is known to be harmless.
create or replace function posthorn.privileges_of_right(may text, limited boolean, bodies boolean) returns setof text
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- Columns with bodies, and headers that a source sent with one.
  body_columns constant name[] := '{payload,headers,response_excerpt}';
  report text;
begin
  if may = 'send' then
    return query select 'execute on function posthorn.' || name
      from unnest('{send,send_many,send_json,send_raw,send_query,status,committed_before}'::text[]) as name;
    -- posthorn.watch runs with the rights of its caller, who owns the table, and so do the functions that it calls.
    return query select 'execute on function posthorn.' || name
      from unnest(('{watch,unwatch,backfill,send_backfill,cancel_backfill,find_watches,check_watchable,check_condition,require_columns,'
        || 'ordering_key_columns,watch_function_body,watch_expressions,send_watched,note_watch_failure}')::text[]) as name;
    -- A policy shows a role only the backfills of tables whose owner's rights it has.
    return query values ('usage on sequence posthorn.watch_ids'), ('select on posthorn.watches, posthorn.backfills'),
      ('select, insert, update on posthorn.backfill_runs');
  elsif may = 'manage' then
    return query select 'execute on function posthorn.' || name
      from unnest('{subscribe,generate_secret,pause,resume,retry,cancel,replay,replay_latest,status}'::text[]) as name;
  elsif may = 'read' then
    return query select 'execute on function posthorn.' || name
      from unnest('{status,committed_before,readable_tenants}'::text[]) as name;
    for report in
      select unnest('{tenant_deliveries,tenant_attempts,tenant_webhooks,tenant_subscriptions,tenant_counts}'::text[])
      union all
      select unnest(('{delivery_report,attempt_report,webhooks,subscription_health,deliveries,report_subscriptions,'
        || 'report_attempts,counts_by_minute,counts_by_hour,counting}')::text[])
        where not limited
    loop
      return query select format('select (%s) on posthorn.%I', string_agg(quote_ident(a.attname), ', ' order by a.attnum), report)
        from pg_attribute a
        where a.attrelid = format('posthorn.%I', report)::regclass and a.attnum > 0 and not a.attisdropped
          and (bodies or a.attname <> all (body_columns));
    end loop;
    if not limited then
      return query select 'execute on function posthorn.' || name
        from unnest('{deliveries_between,attempts_between}'::text[]) as name;
    end if;
  end if;
end
$$;
comment on function posthorn.privileges_of_right is
  'The privileges that a right consists of, as they are written in grant and revoke.';
revoke execute on function posthorn.privileges_of_right from public;
