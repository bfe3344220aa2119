create or replace function posthorn.resume(subscription_id integer) returns void
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  perform posthorn.require_subscription(subscription_id, posthorn.allowed_tenants('{manage}'));
  if posthorn.set_paused(subscription_id, false) = 'disabled' then
    raise exception 'the subscription % is disabled, so it can be neither paused nor resumed', subscription_id
      using errcode = 'object_not_in_prerequisite_state',
        hint = format('POST /v1/subscriptions/%s/enable makes it active.', subscription_id);
  end if;
end
$$;
comment on function posthorn.resume is
  'Makes a paused subscription active: its held deliveries are sent, the oldest first.';
revoke execute on function posthorn.resume from public;
