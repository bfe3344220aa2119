-- Types that Posthorn itself sends (posthorn.*) go only to subscriptions that list them: `*` does not match.
--
-- A loop takes two microseconds for each webhook; a query took sixty. It has no settings, which would cost
-- more than that, because nothing in it depends on one.
create or replace function posthorn.event_type_patterns(event_type text) returns text[]
  language plpgsql immutable parallel safe as $$
declare
  patterns text[] := case
    when event_type is null then '{*}'
    when event_type like 'posthorn.%' then array[event_type]
    else array[event_type, '*']
  end;
  rest text := event_type;
  place integer := 0;
  dot integer;
begin
  loop
    dot := strpos(rest, '.');
    exit when dot is null or dot = 0;
    place := place + dot;
    rest := substr(rest, dot + 1);
    patterns := patterns || (left(event_type, place) || '*');
  end loop;
  return patterns;
end
$$;
comment on function posthorn.event_type_patterns is
  'The patterns that match an event type, which a subscription may list to get it: order.created, order.* and *.';
revoke execute on function posthorn.event_type_patterns from public;
