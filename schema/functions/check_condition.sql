-- Opens a cursor and reads nothing from it, because Postgres refuses a cursor for more than one statement: a condition
-- such as `true); drop table orders; select (true` is an error before anything of it runs.
create or replace function posthorn.check_condition(
  rel regclass,
  condition text,
  -- What the condition is of: watch, with the rows new and old, or backfill, with new.
  of_what text,
  parameter text
) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  old_row constant text := case of_what when 'watch' then format(' cross join (select * from %s) as old', rel) else '' end;
  rows refcursor;
  problem text;
begin
  if condition is null then
    return;
  end if;
  open rows for execute format(E'select from (select * from %1$s) as new%2$s where (\n%3$s\n) limit 0', rel, old_row, condition);
  close rows;
exception when others then
  problem := case when sqlstate = '42P11' then 'it is more than one expression' else sqlerrm end;
  raise exception 'the condition of the % is not valid: %', of_what, problem
    using errcode = sqlstate, column = parameter,
      hint = case of_what
        when 'watch' then 'Write a condition on new and old, such as new.total > 100.'
        else 'Write a condition on new, such as new.total > 100.'
      end || ' Write functions, types and tables of your own with their schema.';
end
$$;
comment on function posthorn.check_condition is
  'Raises an error that names the parameter, unless the text is one boolean expression on the rows of the table.';
revoke execute on function posthorn.check_condition from public;
