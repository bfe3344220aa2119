create or replace function posthorn.filter_problem(filter jsonpath) returns text
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  shape constant text := posthorn.filter_shape(filter);
  cost constant integer := posthorn.filter_cost(filter);
  brackets text[] := '{}';
  symbol text;
  method text;
begin
  if length(filter::text) > 1000 then
    return format('it is %s characters long; at most 1000 are allowed', length(filter::text));
  end if;
  if shape ~ '\*\*' then
    return 'it looks at all depths (**), which costs too much; write the path to the value';
  end if;
  if shape ~ 'like_regex' then
    return 'it has a regular expression (like_regex), which may cost too much; use a comparison or starts with';
  end if;
  -- Some of the other methods can take very long (.double() of 1e131071 computes 131,072 digits). Some raise
  -- errors that no option of jsonb_path_exists suppresses (.datetime() of a time with a zone).
  method := substring(shape from '\.(?!type\(\)|size\(\))(\w+)\(');
  if method is not null then
    return format('it has the method .%s(); the only allowed methods are .type() and .size()', method);
  end if;
  if shape ~ '\$""' then
    return 'it has a variable, but filters get no variables; write the value into the filter';
  end if;
  if shape ~ '\[[^\]]' then
    return 'it has a subscript that is not one number, last, a range such as 0 to 2, or *';
  end if;
  if shape ~ ' (?:==|!=|<>|<=?|>=?) ' then
    return 'it compares with something other than a value; one side of a comparison is a number, a string, true, false or null';
  end if;
  if shape ~ ' [-+*/%] |[-+][$@(]' then
    return 'it calculates; compare the values of the data without calculating';
  end if;
  -- Reading the whole data once for each part of the data would take quadratic time.
  for symbol in select m[1] from regexp_matches(shape, '\?\(|[()$]', 'g') as m loop
    if symbol = '$' then
      if '?(' = any (brackets) then
        return 'it has $ within ?( ), which costs too much; begin with @ there';
      end if;
    elsif symbol = ')' then
      brackets := brackets[:cardinality(brackets) - 1];
    else
      brackets := brackets || symbol;
    end if;
  end loop;
  if not posthorn.filter_is_predicate(filter) and shape !~ '\?\(' then
    return 'it compares nothing; write a comparison such as $.total > 100, or exists($.total)';
  end if;
  if cost > 12 then
    return format('it has %s steps; at most 12 are allowed: comparisons, [ ], .*, ?( ), exists, and methods', cost);
  end if;
  return null;
end
$$;
comment on function posthorn.filter_problem is
  'Why a filter cannot be used, or null. docs/filters.md has the rules.';
revoke execute on function posthorn.filter_problem from public;
