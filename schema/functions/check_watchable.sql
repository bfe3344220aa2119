-- Posthorn's own tables are known by their names, because the search path of a user named posthorn puts the tables of
-- an application into the schema posthorn too.
create or replace function posthorn.check_watchable(rel regclass, per text) returns void
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  own constant name[] := '{
    backfill_runs,backlogs,circuits,commit_marks,counting,counts_by_hour,counts_by_minute,deliveries,delivery_attempts,
    event_types,expired_bodies,homes,idempotency_keys,keys,leases,limits,migrations,moves,notices,overdue_bodies,placed_keys,
    placed_subscriptions,placements,quiet_history,rights,schema_files,sessions,subscription_event_types,subscriptions,tasks,
    tenants,watch_failures,webhook_payloads,woken_history,workers
  }';
  root_name name;
  kind "char";
  schema name;
  owner oid;
  is_temporary boolean;
  is_partition boolean;
  reason text;
  advice text;
  bad name;
begin
  select c.relkind, n.nspname, c.relowner, c.relpersistence = 't', c.relispartition,
      (select r.relname from pg_class r where r.oid = coalesce(pg_partition_root(rel), rel))
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = rel
    into kind, schema, owner, is_temporary, is_partition, root_name;
  if not found then
    raise exception 'there is no table %', coalesce(rel::text, 'null')
      using errcode = 'undefined_table', column = 'rel', hint = 'Name a table, such as ''orders''.';
  end if;
  if kind in ('v', 'm') then
    reason := 'is a view, and nothing is ever written into a view itself';
    advice := 'Watch the tables that it reads.';
  elsif kind = 'f' then
    reason := 'is a foreign table, and its changes happen in another database';
    advice := 'Call posthorn.send where the application writes to it.';
  elsif kind not in ('r', 'p') then
    reason := 'is not a table';
    advice := 'Name a table, such as ''orders''.';
  elsif schema in ('graphile_worker') or schema = 'posthorn' and root_name = any (own) then
    reason := 'belongs to Posthorn itself';
    advice := 'Subscribe to operational webhooks (posthorn.*) for what happens in Posthorn.';
  elsif schema in ('pg_catalog', 'information_schema', 'pg_toast') then
    reason := 'is a system table, and Postgres runs no triggers on it';
    advice := 'Watch a table of your own.';
  elsif is_temporary then
    reason := 'is temporary, and ends with its session';
    advice := 'Watch a lasting table, or call posthorn.send.';
  elsif is_partition and per = 'statement' then
    reason := 'is a partition, and its statement triggers do not see what is written through the partitioned table';
    advice := 'Watch the partitioned table, or use per => ''row''.';
  elsif not pg_has_role(owner, 'usage') then
    raise exception '% belongs to the role "%", and only the owner of a table can watch it', rel, owner::regrole
      using errcode = 'insufficient_privilege', column = 'rel',
        hint = format('Call posthorn.watch as a role that has the rights of %1$s, or run: grant %1$s to %2$I;',
          owner::regrole, current_user);
  end if;
  if reason is not null then
    raise exception '% cannot be watched: it %', rel, reason using errcode = 'wrong_object_type', column = 'rel', hint = advice;
  end if;
  -- The caller creates the function of the watch there, and then makes the owner its owner.
  select r.rolname from pg_roles r
    where (r.oid = owner or r.rolname = current_user)
      and not (has_schema_privilege(r.oid, schema, 'usage') and has_schema_privilege(r.oid, schema, 'create'))
    order by r.oid = owner desc
    limit 1
    into bad;
  if found then
    raise exception 'the role "%" may not create functions in the schema %, where the function of the watch must be', bad, schema
      using errcode = 'insufficient_privilege', column = 'rel',
        hint = format('As the owner of the schema, run: grant usage, create on schema %I to %I;', schema, bad);
  end if;
end
$$;
comment on function posthorn.check_watchable is
  'Raises an error that says why a table cannot be watched, and what would work.';
revoke execute on function posthorn.check_watchable from public;
