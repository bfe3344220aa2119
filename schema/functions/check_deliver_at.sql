-- A scheduled webhook keeps the partitions of its day, with all other webhooks of that day, until it is sent. So the
-- time ahead is bounded.
create or replace function posthorn.check_deliver_at(deliver_at timestamptz) returns timestamptz
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  if deliver_at > clock_timestamp() + interval '30 days' then
    raise exception 'deliver_at is %, which is more than 30 days ahead', deliver_at
      using errcode = 'invalid_parameter_value',
        hint = 'Give a time in the next 30 days, or send it later. Null, or a time in the past, means now.';
  end if;
  return deliver_at;
end
$$;
comment on function posthorn.check_deliver_at is
  'Returns the time at which a webhook is to be delivered. Raises an error if it is more than 30 days ahead.';
revoke execute on function posthorn.check_deliver_at from public;
