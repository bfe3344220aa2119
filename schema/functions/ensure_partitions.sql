-- Each table is looked after by itself: a missing partition of one table is created although the others exist.
--
-- Only the service calls it, never the transaction of a sender: others cannot see a new partition before its
-- transaction ends, so they would all have to wait for that.
create or replace function posthorn.ensure_partitions(
  first_day date,
  last_day date,
  -- How many days a partition of history covers at most. Null: as many as make 32 partitions of these days.
  days_each integer default null
) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- Keys are stored for yesterday at the earliest (store_idempotency_keys), and their days are dropped one by one.
  first_day_of_keys constant date := greatest(first_day, (now() at time zone 'UTC')::date) - 1;
  width constant integer := coalesce(days_each, greatest(1, ceil((last_day - first_day + 1) / 32.0)::integer));
  missing record;
  start_at timestamptz;
  end_at timestamptz;
  made integer := 0;
begin
  perform pg_advisory_xact_lock(1347637332, 0);
  for missing in
    with listed as materialized (
      select * from posthorn.list_partitions()
    )
    select wanted.parent, lower(gap) as start_at, upper(gap) as end_at, wanted.width
    from (
      select parent, width, first_day::timestamp at time zone 'UTC' as from_at
      from unnest(array['webhook_payloads', 'deliveries', 'delivery_attempts']) as parent
      union all
      select 'idempotency_keys', 1, first_day_of_keys::timestamp at time zone 'UTC'
      where first_day_of_keys <= last_day
    ) as wanted
    cross join lateral unnest(
      tstzmultirange(tstzrange(wanted.from_at, (last_day + 1)::timestamp at time zone 'UTC'))
      - (select coalesce(range_agg(tstzrange(p.from_at, p.until_at)), '{}')
         from listed as p
         where p.parent = wanted.parent)) as gap
  loop
    start_at := missing.start_at;
    while start_at < missing.end_at loop
      end_at := least(missing.end_at, date_trunc('day', start_at) + missing.width * interval '1 day');
      perform posthorn.create_partition(missing.parent, start_at, end_at);
      made := made + 1;
      start_at := end_at;
    end loop;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_partitions is
  'Creates the missing partitions of history and of idempotency_keys for these days (UTC). Returns how many tables it created.';
revoke execute on function posthorn.ensure_partitions from public;
