-- Functions that apply the files of schema/functions/ and schema/views/. `posthorn migrate` and the script of
-- `posthorn migrate --sql` create them at the start of a transaction and drop them at its end.
--
-- If the arguments or the result of a function have changed, the old function is renamed to
-- <name>_before_<its oid>, the new one gets the rights that were granted on it, and the old one calls the new one
-- from then on: running statements and objects of the operator may refer to it. The next change drops it, unless
-- something still depends on it.

create function posthorn.functions_named(name text) returns oid[] language sql stable as $$
  select coalesce(array_agg(p.oid order by p.oid), '{}') from pg_catalog.pg_proc p
  where p.pronamespace = 'posthorn'::regnamespace and p.proname = $1
$$;

-- The function as statements name it: posthorn.send(text, jsonb).
create function posthorn.signature_of(id oid) returns text language sql stable as $$
  select format('posthorn.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
  from pg_catalog.pg_proc p where p.oid = id
$$;

-- Drops triggers of these functions that the text no longer creates, or creates under another name.
create function posthorn.drop_stale_triggers(ids oid[], file text) returns void language plpgsql as $$
declare
  statement text;
begin
  for statement in
    select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
    where t.tgfoid = any (ids) and not t.tgisinternal and t.tgparentid = 0
      and c.relnamespace = 'posthorn'::regnamespace
      and t.tgname not in (
        select created[1] from regexp_matches(file, '^create or replace trigger (\w+)', 'gn') as created)
  loop
    execute statement;
  end loop;
end
$$;

create function posthorn.copy_grants(from_function oid, to_name text) returns void language plpgsql as $$
declare
  statement text;
begin
  for statement in
    select format('grant execute on function posthorn.%I to %s %s', to_name,
      case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
      case when a.is_grantable then 'with grant option' end)
    from pg_catalog.pg_proc p, aclexplode(p.proacl) a
    where p.oid = from_function and a.grantee <> p.proowner
  loop
    execute statement;
  end loop;
end
$$;

-- Whether the object of a file uses a function that was renamed in this transaction. It is then applied again.
create function posthorn.uses_renamed(path text) returns boolean language sql stable as $$
  select exists (
    select from pg_catalog.pg_depend d
    join pg_catalog.pg_proc used on d.refclassid = 'pg_proc'::regclass and used.oid = d.refobjid
    left join pg_catalog.pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
    left join pg_catalog.pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
    left join pg_catalog.pg_class c on c.oid = r.ev_class
    where 'posthorn'::regnamespace in (p.pronamespace, c.relnamespace)
      and path = coalesce('functions/' || p.proname, 'views/' || c.relname) || '.sql'
      and used.pronamespace = 'posthorn'::regnamespace and used.proname like '%\_before\_' || used.oid
      and not exists (select from posthorn.schema_files f where f.path = 'replaced/' || used.proname))
$$;

create function posthorn.exists_as_file(path text) returns boolean language sql stable as $$
  select exists (select from pg_catalog.pg_proc p
      where p.pronamespace = 'posthorn'::regnamespace and path = 'functions/' || p.proname || '.sql')
    or exists (select from pg_catalog.pg_class c
      where c.relnamespace = 'posthorn'::regnamespace and c.relkind = 'v' and path = 'views/' || c.relname || '.sql')
$$;

-- Creates or replaces a function and its triggers.
create function posthorn.apply_function(name text, file text) returns void language plpgsql as $$
declare
  before constant oid[] := posthorn.functions_named(name);
  old oid;
  now_there oid[];
begin
  begin
    execute file;
    if cardinality(before) = 1 and cardinality(posthorn.functions_named(name)) > 1 then
      raise ambiguous_function;
    end if;
  exception when invalid_function_definition or ambiguous_function then
    -- It has other arguments or another result: it cannot be replaced in place, or its name is ambiguous now.
    if cardinality(before) = 0 then
      raise;
    end if;
    old := before[1];
    execute format('alter function %s rename to %I', posthorn.signature_of(old), name || '_before_' || old);
    execute file;
    perform posthorn.copy_grants(old, name);
  end;
  now_there := posthorn.functions_named(name);
  if cardinality(now_there) <> 1 then
    raise exception 'the file must create exactly one function posthorn.%; there are %', name, cardinality(now_there)
      using errcode = 'invalid_function_definition';
  end if;
  -- A file without triggers: other functions create them at run time (note_quiet_history, write_fence).
  if file ~ '(?n)^create or replace trigger ' then
    perform posthorn.drop_stale_triggers(now_there || old, file);
  end if;
end
$$;

-- Applies a file, unless it is applied already. Files on which others depend must come first.
create function posthorn.apply_file(path text, hash text, posthorn_version text, file text) returns void
  language plpgsql as $$
begin
  if not posthorn.uses_renamed(path) and posthorn.exists_as_file(path)
    and exists (select from posthorn.schema_files f where f.path = $1 and f.hash = $2) then
    return;
  end if;
  begin
    if path like 'functions/%' then
      perform posthorn.apply_function(substring(path from '/(.*)\.sql$'), file);
    else
      execute file;
    end if;
  exception when others then
    raise exception 'schema/% cannot be applied: %', path, sqlerrm using errcode = sqlstate;
  end;
  insert into posthorn.schema_files (path, hash, posthorn_version) values ($1, $2, $3)
  on conflict on constraint schema_files_pkey do update
    set hash = excluded.hash, posthorn_version = excluded.posthorn_version, applied_at = now();
end
$$;

-- Makes a renamed function call the new one. False: the new one cannot be called with the old arguments.
create function posthorn.forward_function(old oid, to_name text) returns boolean language plpgsql as $$
declare
  p pg_catalog.pg_proc;
begin
  select * into strict p from pg_catalog.pg_proc where oid = old;
  if p.prorettype = 'trigger'::regtype then
    return false;
  end if;
  execute format(
    'create or replace function posthorn.%I(%s) returns %s language sql %s set search_path = pg_catalog, pg_temp as %L',
    p.proname, pg_get_function_arguments(old), pg_get_function_result(old),
    case when p.prosecdef then 'security definer' end,
    format('select * from posthorn.%I(%s)', to_name,
      (select string_agg('$' || n, ', ' order by n) from generate_series(1, p.pronargs) as n)));
  return true;
exception when invalid_function_definition or ambiguous_function or undefined_function then
  return false;
end
$$;

-- Drops the objects, in any order that their dependencies allow. An object without a reason may stay if others
-- depend on it.
create function posthorn.drop_objects(objects text[], reasons text[]) returns void language plpgsql as $$
declare
  waiting integer[] := array(select generate_subscripts(objects, 1));
  failed integer[];
  detail text;
  problem text;
  place integer;
begin
  while cardinality(waiting) > 0 loop
    failed := '{}';
    problem := null;
    foreach place in array waiting loop
      begin
        execute 'drop ' || objects[place];
      exception when dependent_objects_still_exist then
        get stacked diagnostics detail = pg_exception_detail;
        failed := failed || place;
        if reasons[place] is not null then
          problem := coalesce(problem, format(
            'The database cannot be migrated: %s, but an object that is not Posthorn''s depends on the old one: %s. Drop that object, and start Posthorn again.',
            reasons[place], replace(detail, E'\n', '; ')));
        end if;
      end;
    end loop;
    if cardinality(failed) = cardinality(waiting) then
      if problem is not null then
        raise exception '%', problem using errcode = 'dependent_objects_still_exist';
      end if;
      return;
    end if;
    waiting := failed;
  end loop;
end
$$;

-- Does what is left after all files were applied: renamed functions call the new ones, and what has no file is dropped.
create function posthorn.finish_files(paths text[], posthorn_version text) returns void language plpgsql as $$
declare
  gone record;
  renamed record;
  why text;
  id oid;
  objects text[] := '{}';
  reasons text[] := '{}';
begin
  for gone in
    select regexp_replace(split_part(f.path, '/', 2), '\.sql$', '') as name, f.path like 'views/%' as is_view,
      f.path like 'replaced/%' as may_stay
    from posthorn.schema_files f
    where f.path <> all (paths)
  loop
    why := case when not gone.may_stay then format('this version has no posthorn.%s', gone.name) end;
    if gone.is_view then
      objects := objects || format('view if exists posthorn.%I', gone.name);
      reasons := reasons || why;
      continue;
    end if;
    foreach id in array posthorn.functions_named(gone.name) loop
      perform posthorn.drop_stale_triggers(array[id], '');
      objects := objects || ('function ' || posthorn.signature_of(id));
      reasons := reasons || why;
    end loop;
  end loop;
  for renamed in
    select p.oid, p.proname as name, substring(p.proname from '^(.*)_before_') as replaced_by
    from pg_catalog.pg_proc p
    where p.pronamespace = 'posthorn'::regnamespace and p.proname like '%\_before\_' || p.oid
      and not exists (select from posthorn.schema_files f where f.path = 'replaced/' || p.proname)
  loop
    if posthorn.forward_function(renamed.oid, renamed.replaced_by) then
      insert into posthorn.schema_files (path, hash, posthorn_version)
      values ('replaced/' || renamed.name, '', finish_files.posthorn_version);
    else
      perform posthorn.drop_stale_triggers(array[renamed.oid], '');
      objects := objects || ('function ' || posthorn.signature_of(renamed.oid));
      reasons := reasons || format('posthorn.%s has other arguments or another result now', renamed.replaced_by);
    end if;
  end loop;
  perform posthorn.drop_objects(objects, reasons);
  delete from posthorn.schema_files f
  where f.path <> all (paths)
    and not (f.path like 'replaced/%' and cardinality(posthorn.functions_named(substring(f.path from '/(.*)$'))) > 0);
  -- What a right consists of may have changed, and a view that was dropped has lost its grants.
  if 'functions/grant_rights.sql' = any (paths) then
    perform posthorn.grant_rights();
  end if;
end
$$;
