-- A watch is a function and its triggers (posthorn.watch), so this reads the catalogs of Postgres: it shows no watch of
-- a dropped table, and needs no care at pg_restore. Only whoever has the rights of the table's owner, or may read the
-- failures, sees the text of an error, because it may contain data.
create or replace view posthorn.watches as
select
  w.id, w.rel, w.enabled, w.owner,
  case when jsonb_typeof(w.options -> 'ops') = 'array'
    then array(select jsonb_array_elements_text(w.options -> 'ops')) end as ops,
  case when jsonb_typeof(w.options -> 'columns') = 'array'
    then array(select jsonb_array_elements_text(w.options -> 'columns')) end as columns,
  case when jsonb_typeof(w.options -> 'payload_columns') = 'array'
    then array(select jsonb_array_elements_text(w.options -> 'payload_columns')) end as payload_columns,
  w.options ->> 'when' as "when",
  w.options ->> 'with_old' = 'true' as with_old,
  w.options ->> 'ordering_key' as ordering_key,
  w.options ->> 'tenant' as tenant,
  w.options ->> 'tenant_column' as tenant_column,
  w.options ->> 'per' as per,
  w.options ->> 'event_type' as event_type,
  w.options ->> 'on_error' as on_error,
  f.failures, f.last_failed_at,
  case when w.may_read_errors then f.last_error end as last_error
from (
  select
    substring(p.proname from '[0-9]+$')::integer as id,
    t.rel, t.enabled,
    pg_get_userbyid(p.proowner) as owner,
    posthorn.try_jsonb(convert_to(substring(p.prosrc from '^-- Posthorn watch: ([^\n]*)'), 'UTF8')) as options,
    pg_has_role(p.proowner, 'usage') or has_table_privilege('posthorn.watch_failures', 'select') as may_read_errors
  from pg_proc p
  join (
    select t.tgfoid, t.tgrelid::regclass as rel, bool_and(t.tgenabled <> 'D') as enabled
    from pg_trigger t
    where t.tgparentid = 0 and t.tgname like 'posthorn\_watch\_%'
    group by t.tgfoid, t.tgrelid
  ) t on t.tgfoid = p.oid
  where p.proname ~ '^posthorn_watch_[0-9]{1,5}$' and p.prosrc like '-- Posthorn watch: %'
) w
left join lateral (
  select coalesce(sum(f.webhooks), 0)::bigint as failures, max(f.at) as last_failed_at,
    (array_agg(f.error order by f.at desc))[1] as last_error
  from posthorn.watch_failures f
  where f.watch = w.id
) f on true
where w.options is not null;
comment on view posthorn.watches is
  'A row for each watch: its table, its options, and the webhooks that it could not send (on_error => ''skip'').';
