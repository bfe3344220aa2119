-- Stores what posthorn.send_backfill sends portion by portion. The condition is checked here, with the rights of the
-- caller. The options of the watch are read from its function, which belongs to the owner of the table.
create or replace function posthorn.backfill(
  watch regclass,
  "where" text default null,
  per_second integer default null
) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  ids integer[];
  one record;
  total bigint;
  started integer;
begin
  ids := array(select f.id from posthorn.find_watches(backfill.watch) f);
  if cardinality(ids) <> 1 then
    raise exception '% has % watches', watch, cardinality(ids)
      using errcode = 'ambiguous_parameter',
        hint = format('Name one of them: %s.', (select string_agg(id::text, ', ' order by id) from unnest(ids) as id));
  end if;
  -- Only a function of the table's owner: another role may have put a trigger of its own on the table.
  select c.oid::regclass as rel, pg_get_userbyid(c.relowner) as owner,
      posthorn.try_jsonb(convert_to(substring(p.prosrc from '^-- Posthorn watch: ([^\n]*)'), 'UTF8')) as options
    from posthorn.find_watches(backfill.watch) f
    join pg_proc p on p.oid = f.function
    join pg_trigger t on t.tgfoid = p.oid and t.tgparentid = 0
    join pg_class c on c.oid = t.tgrelid and c.relowner = p.proowner
    limit 1
    into one;
  if not found then
    raise exception 'the table of the watch % is gone, or has another owner since', ids[1]
      using errcode = 'object_not_in_prerequisite_state',
        hint = format('Watch it again: posthorn.unwatch(%s), then posthorn.watch.', ids[1]);
  end if;
  if per_second < 1 then
    raise exception 'per_second is %', per_second using errcode = 'invalid_parameter_value', column = 'per_second',
      hint = 'Give the most rows a second, or leave it out to send as fast as possible.';
  end if;
  perform posthorn.check_condition(one.rel, "where", 'backfill', 'where');
  select sum(pg_relation_size(l.relid) / current_setting('block_size')::bigint)
    from pg_partition_tree(one.rel) l where l.isleaf
    into total;
  insert into posthorn.backfill_runs (watch, owner, rel, options, key_columns, condition, per_second, blocks)
    values (ids[1], one.owner, one.rel, one.options, posthorn.ordering_key_columns(one.rel, one.options ->> 'ordering_key'), "where", backfill.per_second,
      coalesce(total, pg_relation_size(one.rel) / current_setting('block_size')::bigint))
    returning id into started;
  -- Without it, a worker finds the backfill within half a minute.
  if (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true then
    perform pg_notify('posthorn_backfills', started::text);
  end if;
  return started;
end
$$;
comment on function posthorn.backfill is
  'Sends the existing rows of a watched table, in portions. Returns the id; the view posthorn.backfills shows the progress.';
revoke execute on function posthorn.backfill from public;
