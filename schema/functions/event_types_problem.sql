create or replace function posthorn.event_types_problem(event_types text[]) returns text
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  given text;
begin
  if array_ndims(event_types) > 1 then
    return 'the event types are a list of lists';
  end if;
  if cardinality(event_types) > 100 then
    return format('there are %s event types; at most 100 are allowed', cardinality(event_types));
  end if;
  foreach given in array coalesce(event_types, '{}') loop
    -- The length is checked first, so that no pattern reads megabytes.
    if given is null or length(given) > 130 or given !~ '^([*]|[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*([.][*])?)$' then
      return coalesce('"' || left(given, 200) || '"', 'null')
        || ' is not an event type such as order.created, a prefix such as order.*, or *';
    end if;
  end loop;
  return null;
end
$$;
comment on function posthorn.event_types_problem is
  'Why a subscription or a task cannot have these event types, or null.';
revoke execute on function posthorn.event_types_problem from public;
