-- The bounds are read from the catalog instead of the names, because a partition can cover several days, and
-- because an operator may have dropped, detached or renamed a partition.
create or replace function posthorn.list_partitions()
  returns table (
    parent text,
    name text,
    from_at timestamptz,
    until_at timestamptz,
    -- Whether DETACH PARTITION … CONCURRENTLY has begun and was interrupted.
    detaching boolean
  )
  language sql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
  select parent, name,
    case when parent = 'idempotency_keys' then lower::timestamptz else posthorn.uuidv7_time(lower::uuid) end,
    case when parent = 'idempotency_keys' then upper::timestamptz else posthorn.uuidv7_time(upper::uuid) end,
    detaching
  from (
    select p.relname::text as parent, c.relname::text as name, i.inhdetachpending as detaching,
      bounds[1] as lower, bounds[2] as upper
    from pg_inherits i
    join pg_class p on p.oid = i.inhparent
    join pg_class c on c.oid = i.inhrelid
    -- The offset makes it run once for each, because writing the bounds is most of the cost.
    cross join lateral (
      select regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''([^'']+)''\) TO \(''([^'']+)''\)') as bounds offset 0) as b
    where i.inhparent in ('posthorn.webhook_payloads'::regclass, 'posthorn.deliveries'::regclass,
      'posthorn.delivery_attempts'::regclass, 'posthorn.idempotency_keys'::regclass)
  ) as bound
  order by parent, lower
$$;
comment on function posthorn.list_partitions is
  'The partitions of history and of idempotency_keys, and the time that each covers.';
revoke execute on function posthorn.list_partitions from public;
