-- Creates the triggers of a watch, and their function in the schema of the table. Postgres itself is the registry: a
-- watch exists as long as its triggers. So it survives a renamed table and pg_dump, and a dropped table leaves nothing
-- to clean up. The view posthorn.watches reads the options from the first line of the function.
--
-- The settings of the function make the data independent of the writer's settings. Without `jit = off`, an update of 60
-- rows took 1,400 ms instead of 30 on Postgres 15 (*measured*): its cost is overestimated, and so it was compiled.
--
-- It runs with the rights of its caller, who must own the table, because only its owner can drop its triggers. The
-- function of the triggers runs with the rights of the table's owner. So a role that may only insert into the table
-- causes webhooks too, and the condition never has the rights of Posthorn's owner or of a superuser who calls this.
create or replace function posthorn.watch(
  rel regclass,
  ops text[] default '{insert,update,delete}',
  columns text[] default null,
  payload_columns text[] default null,
  "when" text default null,
  with_old boolean default true,
  ordering_key text default null,
  tenant text default 'default',
  tenant_column text default null,
  per text default 'statement',
  event_type text default null,
  on_error text default 'raise'
) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set client_min_messages = warning
as $$
declare
  past constant jsonb := '{"insert": "inserted", "update": "updated", "delete": "deleted"}';
  owner regrole;
  schema name;
  options jsonb;
  id integer;
  name text;
  bad text;
  key_columns text[];
  problem text;
begin
  per := lower(per);
  on_error := lower(on_error);
  ops := array(select lower(o) from unnest(ops) as o);
  if per is null or per not in ('statement', 'row') then
    raise exception '% is not a value of per', coalesce('"' || per || '"', 'null')
      using errcode = 'invalid_parameter_value', column = 'per', hint = 'Write statement, which costs least, or row.';
  end if;
  if on_error is null or on_error not in ('raise', 'skip') then
    raise exception '% is not a value of on_error', coalesce('"' || on_error || '"', 'null')
      using errcode = 'invalid_parameter_value', column = 'on_error',
        hint = 'Write raise (a statement whose webhooks cannot be sent fails), or skip (they are counted).';
  end if;
  if cardinality(ops) = 0 or not ops <@ array['insert', 'update', 'delete'] or array_position(ops, null) is not null then
    raise exception 'the operations % cannot be watched', ops
      using errcode = 'invalid_parameter_value', column = 'ops',
        hint = 'Write a list of insert, update and delete. A truncate has no rows to send; a trigger can call posthorn.send for it.';
  end if;
  ops := array(select o from unnest(array['insert', 'update', 'delete']) as o where o = any (ops));
  perform posthorn.check_watchable(rel, per);
  select c.relowner, n.nspname, coalesce(watch.event_type, c.relname)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.oid = rel
    into owner, schema, event_type;

  perform posthorn.require_columns(rel, columns, 'columns');
  perform posthorn.require_columns(rel, payload_columns, 'payload_columns');
  perform posthorn.require_columns(rel, array[tenant_column], 'tenant_column') where tenant_column is not null;
  if tenant_column is not null then
    if tenant is distinct from 'default' then
      raise exception 'there is a tenant and a tenant column'
        using errcode = 'invalid_parameter_value', column = 'tenant_column', hint = 'Give one of them.';
    end if;
    tenant := null;
  end if;
  key_columns := posthorn.ordering_key_columns(rel, ordering_key);
  perform posthorn.check_condition(rel, "when", 'watch', 'when');

  if not has_schema_privilege(owner, 'posthorn', 'usage')
    or not has_function_privilege(owner, 'posthorn.send_many'::regproc, 'execute')
    or not has_function_privilege(owner, 'posthorn.send_watched'::regproc, 'execute') then
    raise exception 'the owner of %, the role %, may not send', rel, owner
      using errcode = 'insufficient_privilege', column = 'rel',
        hint = format('As the owner of Posthorn''s schema, run: select posthorn.allow_sender(%L);', trim('"' from owner::text));
  end if;
  -- Sends one webhook of each type and takes them back, so whatever is refused is refused now: the event types, the
  -- tenant, and the role of this session.
  begin
    if tenant_column is null then
      perform posthorn.send(watch.event_type || '.' || (past ->> o), '{}', tenant) from unnest(ops) as o;
    elsif event_type !~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$' or length(event_type) > 119 then
      raise exception '"%" cannot begin an event type', event_type using errcode = 'invalid_parameter_value',
        hint = 'Write words of letters, digits, _ and - with dots between them; 119 characters at most.';
    end if;
    raise exception using errcode = 'PH001';
  exception
    when sqlstate 'PH001' then
      null;
    when invalid_parameter_value or reserved_name then
      get stacked diagnostics problem = message_text, bad = pg_exception_hint;
      raise exception '% cannot be watched: %', rel, problem using errcode = sqlstate, column = 'event_type',
        hint = case when watch.event_type ~ '^[A-Za-z0-9_.-]+$' then bad
          else 'Give the first part of the event types, such as event_type => ''orders''.' end;
  end;

  loop
    id := nextval('posthorn.watch_ids');
    name := 'posthorn_watch_' || id;
    exit when not exists (select from pg_proc p where p.proname = name);
  end loop;
  options := jsonb_build_object('id', id, 'ops', ops, 'columns', columns, 'payload_columns', payload_columns,
    'when', "when", 'with_old', coalesce(with_old, true), 'ordering_key', ordering_key, 'tenant', tenant,
    'tenant_column', tenant_column, 'per', per, 'event_type', event_type, 'on_error', on_error);
  execute format(
    'create function %I.%I() returns trigger
       language plpgsql security definer
       set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
       set DateStyle = ''ISO, MDY'' set TimeZone = ''UTC'' set search_path = pg_catalog, pg_temp
       set IntervalStyle = postgres set bytea_output = hex set extra_float_digits = 1
       set quote_all_identifiers = off set lc_monetary = ''C'' set jit = off
       as %L',
    schema, name, '-- Posthorn watch: ' || options::text || posthorn.watch_function_body(options, key_columns));
  execute format('comment on function %I.%I() is %L', schema, name,
    format('Sends webhooks for changes of %s. Created by posthorn.watch; posthorn.unwatch(%s) removes it.', rel, id));
  execute format('revoke execute on function %I.%I() from public', schema, name);
  if pg_get_userbyid(owner) <> current_user then
    execute format('alter function %I.%I() owner to %s', schema, name, owner);
  end if;
  foreach bad in array ops loop
    execute format('create trigger %I after %s on %s %s for each %s execute function %I.%I()',
      name || '_' || bad, bad, rel,
      case when per = 'statement' then 'referencing' || case when bad <> 'delete' then ' new table as posthorn_new' else '' end
        || case when bad <> 'insert' then ' old table as posthorn_old' else '' end else '' end,
      per, schema, name);
  end loop;
  -- Postgres (15 to 18 at least) puts wrong new rows into the transition table of a MERGE that inserts into a partition
  -- and then updates, unless the partition has a trigger before inserts. This one never runs.
  if per = 'statement' and 'update' = any (ops) and exists (select from pg_class c where c.oid = rel and c.relkind = 'p') then
    execute format('create trigger %I before insert on %s for each row when (false) execute function %I.%I()',
      name || '_merge', rel, schema, name);
  end if;
  return id;
end
$$;
comment on function posthorn.watch is
  'Sends a webhook for each changed row of a table, in the transaction of the change. Returns the id of the watch.';
revoke execute on function posthorn.watch from public;
