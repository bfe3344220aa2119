-- Statement triggers cost one call for any number of rows, so they are the default. How they work:
-- * Postgres fills the two transition tables of an update together, row by row, also when rows move between
--   partitions. So the nth new row belongs to the nth old row, and no primary key is needed. The one exception is a
--   row that a trigger keeps out of its new partition; then the tables have different lengths, which is an error.
-- * A plan is made once, often for a single row, and is kept for a statement of 100,000 rows. A nested loop would then
--   compare each row with each. So nested loops are off while the query is planned.
-- * The rows are read by a cursor and sent in portions of 1,000 or 1 MiB, so memory does not grow with the statement.
--   A variable and its array cost 0.3 µs a row, so the loop has those that the watch needs.
-- * The data is json, which is built as text and stored as it is. Built as jsonb, the rows would be written, read and
--   written again.
-- * Where `when` may use `old` for an insert, or `new` for a delete, the join "on false" gives it a row of nulls.
-- Nothing in the text names the table, so the table may be renamed.
create or replace function posthorn.watch_function_body(options jsonb, key_columns text[]) returns text
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  id constant text := options ->> 'id';
  by_row constant boolean := options ->> 'per' = 'row';
  skips constant text := case options ->> 'on_error' when 'skip' then 'true' else 'false' end;
  tenant_column constant text := options ->> 'tenant_column';
  condition constant text := options ->> 'when';
  picks constant boolean := jsonb_typeof(options -> 'payload_columns') = 'array';
  -- Names that no table and no column has.
  number constant text := '"posthorn row"';
  source constant text := '"posthorn rows"';
  whole constant text := '"posthorn whole row"';
  kinds text[] := array['inserted', 'updated', 'deleted'];
  json_of text[];
  key_of text[];
  tenant_of text[];
  rest_of text[];
  columns text[];
  filter text;
  changed text;
  updated text;
  queries text[];
  handler text;
  side text;
  expressions record;
begin
  for nth in 1 .. 3 loop
    kinds[nth] := quote_literal(options ->> 'event_type' || '.' || kinds[nth]);
  end loop;
  for nth in 1 .. 2 loop
    side := (array['new', 'old'])[nth];
    expressions := posthorn.watch_expressions(options, key_columns, side);
    json_of[nth] := coalesce(expressions.picked, format(case when by_row then 'to_jsonb(%s)' else 'to_jsonb(%s.*)' end, side));
    key_of[nth] := expressions.key;
    tenant_of[nth] := expressions.tenant;
  end loop;
  select string_agg(format('to_jsonb(new.%1$I) is distinct from to_jsonb(old.%1$I)', c), ' or ')
    from jsonb_array_elements_text(nullif(options -> 'columns', 'null')) as c
    into filter;
  -- The names come from a list of results and not from a table, which costs a third less.
  changed := 'to_jsonb(array(select name from (select jsonb_object_keys(%1$s) as name) as each where %1$s -> name is distinct from %2$s -> name))';
  updated := 'json_build_object(''new'', %1$s' || case when (options ->> 'with_old')::boolean then ', ''old'', %2$s' else '' end
    || ', ''changed'', ' || changed || ')';

  handler := format($text$
exception
  when serialization_failure or deadlock_detected then
    raise;
  when others then
    get stacked diagnostics problem = message_text, detail = pg_exception_detail, hint = pg_exception_hint;%s
end;
return null;
end
$text$, case when skips = 'true' then format(case when by_row then $text$
    perform posthorn.note_watch_failure(%1$s, 1, problem);$text$ else $text$
    if tg_op = 'INSERT' then
      perform posthorn.note_watch_failure(%1$s, (select count(*) from posthorn_new), problem);
    else
      perform posthorn.note_watch_failure(%1$s, (select count(*) from posthorn_old), problem);
    end if;$text$ end, id)
    else format($text$
    raise exception 'the watch %s on %%.%% cannot send: %%', tg_table_schema, tg_table_name, problem
      using errcode = sqlstate, detail = detail,
        hint = coalesce(nullif(hint, ''), 'Change the watch with posthorn.unwatch(%s) and posthorn.watch; with on_error => ''skip'' the statement would go on.');$text$,
      id, id) end);

  if by_row then
    return format($text$
#variable_conflict use_column
declare
  problem text;
  detail text;
  hint text;
  new_json jsonb;
  old_json jsonb;
begin
begin
if tg_op = 'INSERT' then
  select new.* into old where false;
elsif tg_op = 'DELETE' then
  select old.* into new where false;
elsif not (%s) then
  return null;
end if;
if (
%s
) is not true then
  return null;
end if;
if tg_op <> 'DELETE' then
  new_json := %s;
end if;
if tg_op <> 'INSERT' then
  old_json := %s;
end if;
$text$, coalesce(filter, 'true'), coalesce(condition, 'true'), json_of[1], json_of[2])
      || format(case when tenant_column is null then '' else $text$
if tg_op = 'UPDATE' and %2$s is distinct from %3$s then
  if %3$s is not null then
    perform posthorn.send_watched(%1$s, array[%4$s], array[json_build_object('old', old_json)], array[%6$s], array[%3$s], null, %8$s);
  end if;
  if %2$s is not null then
    perform posthorn.send_watched(%1$s, array[%5$s], array[json_build_object('new', new_json)], array[%7$s], array[%2$s], null, %8$s);
  end if;
  return null;
end if;
$text$ end, id, tenant_of[1], tenant_of[2], kinds[3], kinds[1], key_of[2], key_of[1], skips)
      || format($text$
if tg_op = 'INSERT' then
  perform posthorn.send_watched(%1$s, array[%2$s], array[json_build_object('new', new_json)], array[%5$s], array[%7$s], %9$L, %10$s);
elsif tg_op = 'UPDATE' then
  perform posthorn.send_watched(%1$s, array[%3$s], array[%11$s], array[%5$s], array[%7$s], %9$L, %10$s);
else
  perform posthorn.send_watched(%1$s, array[%4$s], array[json_build_object('old', old_json)], array[%6$s], array[%8$s], %9$L, %10$s);
end if;
$text$, id, kinds[1], kinds[2], kinds[3], key_of[1], key_of[2], tenant_of[1], tenant_of[2], options ->> 'tenant', skips,
        format(updated, 'new_json', 'old_json'))
      || handler;
  end if;

  -- What the cursor returns for a row. The event type differs within a statement only if rows may move between tenants.
  columns := array['item'] || case when key_columns is not null then array['key'] end
    || case when tenant_column is not null then array['event_type', 'tenant'] end;
  for nth in 1 .. 2 loop
    rest_of[nth] := case when key_columns is not null then ', ' || key_of[nth] || ' as key' else '' end
      || case when tenant_column is not null then ', %s as event_type, ' || tenant_of[nth] || ' as tenant' else '' end;
  end loop;
  queries := array[
    format('select json_build_object(''new'', %s)', json_of[1]) || format(rest_of[1], kinds[1]) || ' from posthorn_new as new'
      || case when condition is not null then ' left join (select * from posthorn_new) as old on false' else '' end,
    format($text$select sent.*
    from (select row_number() over () as %1$s, %2$s as %3$s, %2$s.* from posthorn_new as %2$s) as new
    join (select row_number() over () as %1$s, %2$s as %3$s, %2$s.* from posthorn_old as %2$s) as old on new.%1$s = old.%1$s
    cross join lateral (select %4$s as new, %5$s as old offset 0) as json
    cross join lateral (
      select %6$s as item$text$,
        number, source, whole,
        case when picks then json_of[1] else format('to_jsonb(new.%s)', whole) end,
        case when picks then json_of[2] else format('to_jsonb(old.%s)', whole) end,
        format(updated, 'json.new', 'json.old')) || format(rest_of[1], kinds[2])
      || case when tenant_column is null then '' else format($text$
      where %1$s is not distinct from %2$s
      union all
      select json_build_object('old', json.old)%3$s where %1$s <> %2$s or %1$s is null and %2$s is not null
      union all
      select json_build_object('new', json.new)%4$s where %1$s <> %2$s or %2$s is null and %1$s is not null$text$,
        tenant_of[1], tenant_of[2], format(rest_of[2], kinds[3]), format(rest_of[1], kinds[1])) end
      || ') as sent',
    format('select json_build_object(''old'', %s)', json_of[2]) || format(rest_of[2], kinds[3]) || ' from posthorn_old as old'
      || case when condition is not null then ' left join (select * from posthorn_old) as new on false' else '' end];
  for nth in 1 .. 3 loop
    queries[nth] := queries[nth] || E'\n    where ' || coalesce(E'(\n' || condition || E'\n)', 'true')
      || case when nth = 2 and filter is not null then ' and (' || filter || ')' else '' end;
  end loop;
  return format($text$
#variable_conflict use_column
declare
  nested_loops text;
  changes refcursor;
  item json;
  key text;
  event_type text;
  tenant text;
  data json[] := '{}';
  keys text[] := '{}';
  event_types text[] := '{}';
  tenants text[] := '{}';
  portion integer := 0;
  bytes integer := 0;
  problem text;
  detail text;
  hint text;
begin
begin
nested_loops := current_setting('enable_nestloop');
perform set_config('enable_nestloop', 'off', true);
if tg_op = 'INSERT' then
  open changes for %1$s;
elsif tg_op = 'UPDATE' then
  if (select count(*) from posthorn_new) <> (select count(*) from posthorn_old) then
    raise exception 'a trigger kept a row out of its new partition, so Postgres does not say which rows were changed'
      using errcode = 'object_not_in_prerequisite_state', hint = 'Use per => ''row'' for this table.';
  end if;
  open changes for %2$s;
else
  open changes for %3$s;
end if;
perform set_config('enable_nestloop', nested_loops, true);
loop
  fetch changes into %4$s;
  if found then
    portion := portion + 1;
    data[portion] := item;%5$s
    bytes := bytes + pg_column_size(item);
    continue when portion < 1000 and bytes < 1048576;
  end if;
  exit when portion = 0;
  perform posthorn.send_watched(%6$s, %7$s, data, %8$s, %9$s, %10$L, %11$s);
  data := '{}';
  keys := '{}';
  event_types := '{}';
  tenants := '{}';
  portion := 0;
  bytes := 0;
end loop;
close changes;
$text$, queries[1], queries[2], queries[3], array_to_string(columns, ', '),
    case when key_columns is null then '' else E'\n    keys[portion] := key;' end
      || case when tenant_column is null then '' else E'\n    event_types[portion] := event_type;\n    tenants[portion] := tenant;' end,
    id, case when tenant_column is null
      then format('array_fill(case tg_op when ''INSERT'' then %s when ''UPDATE'' then %s else %s end, array[portion])',
        kinds[1] || '::text', kinds[2] || '::text', kinds[3] || '::text')
      else 'event_types' end,
    case when key_columns is null then 'null' else 'keys' end, case when tenant_column is null then 'null' else 'tenants' end,
    options ->> 'tenant', skips) || handler;
end
$$;
comment on function posthorn.watch_function_body is
  'The text of the function that the triggers of a watch run.';
revoke execute on function posthorn.watch_function_body from public;
