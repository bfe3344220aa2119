-- Sends the next portion of a backfill, in the caller's transaction, which also commits the position. So it goes on
-- there after a crash. It reads the table in the order of its blocks, so it needs no key; partitions come one by one.
--
-- It runs with the rights of its caller and evaluates conditions and casts that the table's owner wrote. So it refuses
-- a caller that has more rights than that owner. A worker of Posthorn therefore sends by itself only where the
-- owner of the table has Posthorn's rights; for other tables, the owner calls this function.
create or replace function posthorn.send_backfill(backfill integer) returns double precision
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set IntervalStyle = postgres set bytea_output = hex set extra_float_digits = 1
  set quote_all_identifiers = off set lc_monetary = 'C' set jit = off
as $$
declare
  max_rows constant integer := 1000;
  max_bytes constant integer := 1024 * 1024;
  -- Blocks that a call reads at most, so that it ends soon where few rows match.
  max_blocks constant integer := 1000;
  -- Blocks that a statement reads. It sorts all their rows that match, so they are few at first, and more where few rows match.
  step integer := 8;
  found_before integer;
  first_block bigint;
  run posthorn.backfill_runs;
  next_part regclass;
  until_block bigint;
  most integer;
  expressions record;
  query text;
  rows refcursor;
  found_row tid;
  place tid;
  item json;
  key text;
  tenant text;
  data json[] := '{}';
  keys text[] := '{}';
  tenants text[] := '{}';
  portion integer := 0;
  bytes integer := 0;
  block bigint;
  pause double precision;
begin
  select * from posthorn.backfill_runs b
    where b.id = send_backfill.backfill and b.state in ('waiting', 'running')
    for update skip locked
    into run;
  if not found then
    return null;
  end if;
  if not pg_has_role(run.owner, current_user, 'usage') then
    raise exception 'the role % has rights that the owner of %, the role %, does not have', current_user, run.rel, run.owner
      using errcode = 'insufficient_privilege', hint = format('set role %I; before it.', run.owner);
  end if;
  if run.due_at > clock_timestamp() then
    return extract(epoch from run.due_at - clock_timestamp());
  end if;

  if run.after_row >= format('(%s,0)', run.part_blocks)::tid then
    select min(l.relid::oid)::regclass
      from (
        select t.relid from pg_partition_tree(run.rel) t where t.isleaf
        -- A table that is not partitioned.
        union select run.rel where not exists (select from pg_partition_tree(run.rel))
      ) l
      where l.relid::oid > coalesce(run.part::oid, 0)
      into next_part;
    if next_part is null then
      update posthorn.backfill_runs set state = 'succeeded', ended_at = clock_timestamp() where id = run.id;
      return null;
    end if;
    run.part := next_part;
    run.part_blocks := pg_relation_size(next_part) / current_setting('block_size')::bigint;
    run.after_row := '(0,0)';
  end if;

  place := run.after_row;
  first_block := split_part(trim('(' from place::text), ',', 1)::bigint;
  block := first_block;
  until_block := least(block + max_blocks, run.part_blocks);
  most := least(max_rows, run.per_second);
  expressions := posthorn.watch_expressions(run.options, run.key_columns, 'new');
  query := format($text$
    select new.ctid, json_build_object('new', %s, 'backfill', true), %s, %s
    from only %s as new
    left join (select * from only %s) as old on false
    where new.ctid > $1 and new.ctid < $2 and (
%s
) and (
%s
)
    order by new.ctid
    limit $3$text$,
    coalesce(expressions.picked, 'to_jsonb(new.*)'), expressions.key, expressions.tenant, run.part, run.part,
    coalesce(run.options ->> 'when', 'true'), coalesce(run.condition, 'true'));
  while block < until_block and portion < most and bytes < max_bytes loop
    block := least(block + step, until_block);
    found_before := portion;
    open rows for execute query using place, format('(%s,0)', block)::tid, most - portion;
    loop
      fetch rows into found_row, item, key, tenant;
      exit when not found;
      place := found_row;
      portion := portion + 1;
      data[portion] := item;
      keys[portion] := key;
      tenants[portion] := tenant;
      bytes := bytes + pg_column_size(item);
      exit when bytes >= max_bytes;
    end loop;
    close rows;
    if portion < most and bytes < max_bytes then
      place := format('(%s,0)', block)::tid;
      if portion - found_before < most / 4 then
        step := step * 4;
      end if;
    end if;
  end loop;
  if portion > 0 then
    perform posthorn.send_watched(run.watch, array_fill(run.options ->> 'event_type' || '.inserted', array[portion]), data,
      keys, tenants, run.options ->> 'tenant', run.options ->> 'on_error' = 'skip');
  end if;
  update posthorn.backfill_runs
    set state = 'running', part = run.part, part_blocks = run.part_blocks, after_row = place,
      rows_sent = rows_sent + portion,
      blocks_read = blocks_read + split_part(trim('(' from place::text), ',', 1)::bigint - first_block,
      due_at = case when per_second is null then clock_timestamp()
        else greatest(due_at, clock_timestamp() - interval '1 second') + portion * interval '1 second' / per_second end
    where id = run.id
    returning greatest(0, extract(epoch from due_at - clock_timestamp()))
    into pause;
  return pause;
end
$$;
comment on function posthorn.send_backfill is
  'Sends the next portion of a backfill. Returns the seconds until the one after it may be sent; null: the backfill has ended, or is being sent by another session.';
revoke execute on function posthorn.send_backfill from public;
