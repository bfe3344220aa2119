create or replace function posthorn.refuse_idempotency_key(outcome text, idempotency_key text) returns void
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  if outcome = 'in_flight' then
    raise exception 'another open transaction sends with the idempotency key "%"', idempotency_key
      using errcode = 'lock_not_available', hint = 'Send again when that transaction has ended; if it was committed, you get the ids of its webhooks.';
  elsif outcome = 'reused' then
    raise exception 'the idempotency key "%" was used for other webhooks in the last 24 hours', idempotency_key
      using errcode = 'unique_violation', hint = 'Use a new key for each call.';
  end if;
end
$$;
comment on function posthorn.refuse_idempotency_key is
  'Raises an error if the outcome of posthorn.claim_idempotency_keys is in_flight or reused.';
revoke execute on function posthorn.refuse_idempotency_key from public;
