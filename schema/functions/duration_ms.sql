create or replace function posthorn.duration_ms(duration text) returns numeric
  language sql immutable parallel safe
  return case when duration ~ '^\d{1,12}(\.\d{1,12})?(ms|s|m|h|d)$' then
    round(substring(duration from '^[0-9.]+')::numeric * case substring(duration from '[a-z]+$')
      when 'ms' then 1 when 's' then 1000 when 'm' then 60000 when 'h' then 3600000 else 86400000 end)
  end;
comment on function posthorn.duration_ms is
  'The milliseconds of a duration such as 250ms, 15s, 5m, 2h or 30d. Null: it is none.';
revoke execute on function posthorn.duration_ms from public;
