create or replace function posthorn.notify_backlogs(subscriptions integer[]) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  -- A notification has at most 8,000 bytes, and each takes a lock of the whole server at commit.
  for nth in 1 .. coalesce(cardinality(subscriptions), 0) by 500 loop
    perform pg_notify('posthorn_backlogs', array_to_string(subscriptions[nth : nth + 499], ','));
  end loop;
end
$$;
comment on function posthorn.notify_backlogs is
  'Notifies the owners of the backlogs of these subscriptions.';
revoke execute on function posthorn.notify_backlogs from public;
