create or replace function posthorn.check_filter() returns trigger
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  problem constant text := posthorn.filter_problem(new.filter);
begin
  if problem is not null then
    raise exception 'the filter cannot be used: %', problem
      using errcode = 'invalid_parameter_value', hint = 'docs/filters.md has the rules and examples.';
  end if;
  new.filter_test := posthorn.filter_test(new.filter);
  new.filter_cost := posthorn.filter_cost(new.filter);
  return new;
end
$$;
comment on function posthorn.check_filter is
  'Trigger: refuses a filter that cannot be used, and stores the form in which it is tested and its cost.';
revoke execute on function posthorn.check_filter from public;

create or replace trigger check_filter before insert or update of filter, filter_test, filter_cost on posthorn.subscriptions
  for each row execute function posthorn.check_filter();
