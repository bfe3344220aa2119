-- As parseRetrySchedule in src/deliveries/retry-schedule.ts.
create or replace function posthorn.retry_schedule_problem(schedule text) returns text
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  given constant text := btrim(schedule);
  longest constant integer := 365;
  part text;
  name text;
  value text;
  problem text;
begin
  if length(schedule) > 500 then
    return 'it has more than 500 characters';
  end if;
  if given !~ '^exponential' then
    if given = '' then
      return 'it is empty; write delays such as 5s,5m,30m';
    end if;
    if cardinality(string_to_array(given, ',')) > 100 then
      return 'it has more than 100 delays';
    end if;
    foreach part in array string_to_array(given, ',') loop
      if posthorn.duration_ms(btrim(part)) is null then
        return format('"%s" is not a duration; write a number and a unit, such as 15s, 5m or 2h', part);
      elsif posthorn.duration_ms(btrim(part)) > longest * 86400000::numeric then
        return 'a delay is longer than 365d';
      end if;
    end loop;
    return null;
  end if;
  if given !~ '^exponential\(.+\)$' then
    return 'write it as exponential(base=10s,factor=2,max=1h,attempts=8)';
  end if;
  foreach part in array string_to_array(substr(given, 13, length(given) - 13), ',') loop
    name := btrim(split_part(part, '=', 1));
    value := btrim(substr(part, strpos(part, '=') + 1));
    problem := case
      when name in ('base', 'max') then case
        when posthorn.duration_ms(value) is null then 'is not a duration such as 10s'
        when posthorn.duration_ms(value) > longest * 86400000::numeric then 'is longer than 365d'
        when name = 'base' and posthorn.duration_ms(value) = 0 then 'must be longer than 0s' end
      when name = 'factor' then case
        when value !~ '^[1-9]\d{0,5}(\.\d{1,6})?$' then 'is not a number of at least 1' end
      when name = 'attempts' then case
        when value !~ '^([1-9]\d?|100)$' then 'is not a whole number from 1 to 100' end
      else 'is not one of base, factor, max and attempts'
    end;
    if problem is not null then
      return format('exponential(): "%s" %s', part, problem);
    end if;
  end loop;
  return null;
end
$$;
comment on function posthorn.retry_schedule_problem is
  'Why a subscription cannot have this retry schedule, or null.';
revoke execute on function posthorn.retry_schedule_problem from public;
