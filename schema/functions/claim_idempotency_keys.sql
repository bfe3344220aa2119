create or replace function posthorn.claim_idempotency_keys(
  tenants text[],
  keys text[],
  fingerprints bytea[],
  -- In the order given; null for a webhook without a key or with a new key.
  out outcomes text[],
  out ids uuid[],
  out deliveries integer[]
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  locked boolean[];
  free boolean;
  -- Both bounds, because Postgres looks up each key in each day between them.
  since timestamptz := clock_timestamp() - interval '24 hours';
  until constant timestamptz := clock_timestamp() + interval '1 hour';
  today date;
begin
  -- It never waits, so it cannot deadlock, and an open transaction does not hold up a group.
  select array_agg(
    case when key is not null then pg_try_advisory_xact_lock(hashtextextended(tenant || E'\n' || key, 1347637332)) end
    order by place)
  from unnest(tenants, keys) with ordinality as u (tenant, key, place)
  into locked;

  -- In a serializable transaction, the lookup below would mark a page of the index as read, and transactions
  -- that store keys on that page at the same time would conflict: 117 of 320 failed with 40001. Trying to insert
  -- a key tells whether it is new, and marks nothing. It tries yesterday too, because a key is valid for 24 hours,
  -- and it tries only locked keys, because it would wait for the transaction that stores another.
  if current_setting('transaction_isolation') = 'serializable' then
    today := (clock_timestamp() at time zone 'UTC')::date;
    begin
      with tried as materialized (
        select distinct tenant, key from unnest(tenants, keys, locked) as u (tenant, key, locked) where u.locked
      ), inserted as (
        insert into posthorn.idempotency_keys (created_at, tenant, key, fingerprint, webhook_ids, deliveries)
        select (today - back)::timestamp at time zone 'UTC', tenant, key, '', '{}', '{}'
        from tried, generate_series(0, 1) as back
        -- Raises serialization_failure for a row that the snapshot does not have.
        on conflict do nothing
        returning 1
      )
      select (select count(*) from inserted) = 2 * (select count(*) from tried) into free;
      -- Removes the rows again: the answers are not known yet.
      raise exception using errcode = 'PH001';
    exception
      when sqlstate 'PH001' then null;
    end;
    if free then
      -- No day is looked at.
      since := 'infinity';
    end if;
  end if;

  -- A separate statement, so that it sees what the previous holder of the lock has committed. It looks up all
  -- keys together, because looking up one key after the other took three times as long.
  with known as materialized (
    select tenant, key, fingerprint, webhook_ids, k.deliveries
    from posthorn.idempotency_keys k
    where k.key = any (keys) and k.created_at > since and k.created_at < until
  )
  select
    array_agg(
      case
        when not g.locked then 'in_flight'
        when known.fingerprint <> g.fingerprint then 'reused'
        when known.fingerprint is not null then 'replayed'
      end order by place),
    array_agg(known.webhook_ids[nth] order by place),
    array_agg(known.deliveries[nth] order by place)
  from (
    select *, row_number() over (partition by tenant, key order by place) as nth
    from unnest(tenants, keys, fingerprints, locked) with ordinality as u (tenant, key, fingerprint, locked, place)
  ) as g
  -- A key that store_idempotency_keys stored for two days has two equal rows.
  left join lateral (select * from known k where k.tenant = g.tenant and k.key = g.key limit 1) as known on true
  into outcomes, ids, deliveries;
end
$$;
comment on function posthorn.claim_idempotency_keys is
  'Locks idempotency keys until the end of the transaction. The outcome of a key that cannot be used is in_flight (another transaction has it), reused (for another request), or replayed (with the earlier answer).';
revoke execute on function posthorn.claim_idempotency_keys from public;
