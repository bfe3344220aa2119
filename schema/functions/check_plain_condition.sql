-- A condition is evaluated with the rights of the table's owner, who may be a superuser. In SQL its author has these
-- rights anyway. Over HTTP its author has an admin key, which must not become a way to run SQL: such a condition may
-- compare values of the row, but not read other tables, and not call what has an effect.
--
-- Postgres itself refuses subqueries, aggregates and sets in the WHEN of a trigger. So the condition is given to a
-- trigger on an empty copy of the table, which is then taken back. (Not a temporary one: that needs a right that hardened
-- databases do not give.) The functions that it calls are read from the
-- parsed expression; operators, and casts, may also depend on settings, such as time with a time zone (stable).
create or replace function posthorn.check_plain_condition(rel regclass, condition text, of_what text, parameter text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set client_min_messages = warning
as $$
declare
  advice constant text := 'Over HTTP, a condition may compare values of the row with immutable functions. For other conditions, call it in SQL.';
  bad text;
  problem text;
begin
  -- First, because it makes sure that the text is one expression.
  perform posthorn.check_condition(rel, condition, of_what, parameter);
  if condition is null then
    return;
  end if;
  begin
    execute format('create table posthorn.condition_to_check (like %s)', rel);
    execute format(E'create trigger checked after %s on posthorn.condition_to_check for each row when (\n%s\n)
        execute function pg_catalog.suppress_redundant_updates_trigger()',
      case of_what when 'watch' then 'update' else 'insert' end, condition);
    select p.oid::regprocedure
      from pg_trigger t
      cross join regexp_matches(t.tgqual::text, ':(?:op)?funcid (\d+)', 'g') as called
      join pg_proc p on p.oid = called[1]::oid
      where t.tgrelid = 'posthorn.condition_to_check'::regclass and p.provolatile <> 'i'
        and not (p.provolatile = 's' and p.pronamespace = 'pg_catalog'::regnamespace
          and (p.oid = 'now()'::regprocedure or exists (select from pg_operator o where o.oprcode = p.oid)
            or exists (select from pg_cast c where c.castfunc = p.oid)))
      limit 1
      into bad;
    -- Takes the copy back.
    raise exception using errcode = 'PH001';
  exception
    when sqlstate 'PH001' then
      null;
    when others then
      get stacked diagnostics problem = message_text;
      raise exception 'the condition cannot be given over HTTP: %', problem
        using errcode = sqlstate, column = parameter, hint = advice;
  end;
  if bad is not null then
    raise exception 'the condition cannot be given over HTTP: the function % is not immutable', bad
      using errcode = 'invalid_parameter_value', column = parameter, hint = advice;
  end if;
end
$$;
comment on function posthorn.check_plain_condition is
  'Raises an error unless a condition only compares values of a row: no subqueries, and no functions that read or change something.';
revoke execute on function posthorn.check_plain_condition from public;
