create or replace function posthorn.store_idempotency_keys(
  tenants text[],
  keys text[],
  fingerprints bytea[],
  outcomes text[],
  ids uuid[],
  deliveries integer[],
  -- If the keys are one key: the whole answer. A row for each webhook took 70 MB for 100,000 webhooks.
  answer_ids uuid[] default null,
  answer_deliveries integer[] default null
) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
begin
  -- A transaction with an old snapshot (repeatable read) may not see the row of a key that was used after the
  -- snapshot. The unique index of the day then raises a serialization failure. Such a transaction also stores
  -- the key for yesterday, so that this works over midnight too.
  if current_setting('transaction_isolation') = 'read committed' then
    insert into posthorn.idempotency_keys (tenant, key, fingerprint, webhook_ids, deliveries)
    select tenant, key, (array_agg(fingerprint))[1],
      coalesce(answer_ids, array_agg(id order by place)), coalesce(answer_deliveries, array_agg(number order by place))
    from unnest(tenants, keys, fingerprints, outcomes, ids, deliveries)
      with ordinality as u (tenant, key, fingerprint, outcome, id, number, place)
    where key is not null and outcome is null and id is not null
    group by tenant, key;
  else
    insert into posthorn.idempotency_keys (created_at, tenant, key, fingerprint, webhook_ids, deliveries)
    select
      case back when 0 then clock_timestamp()
        else today::timestamp at time zone 'UTC' - interval '1 microsecond' end,
      tenant, key, (array_agg(fingerprint))[1],
      coalesce(answer_ids, array_agg(id order by place)), coalesce(answer_deliveries, array_agg(number order by place))
    from unnest(tenants, keys, fingerprints, outcomes, ids, deliveries)
        with ordinality as u (tenant, key, fingerprint, outcome, id, number, place),
      generate_series(0, 1) as back
    where key is not null and outcome is null and id is not null
    group by tenant, key, back
    -- Raises serialization_failure for a row that the snapshot does not have.
    on conflict do nothing;
  end if;
end
$$;
comment on function posthorn.store_idempotency_keys is
  'Stores the answers to the requests with new idempotency keys.';
revoke execute on function posthorn.store_idempotency_keys from public;
