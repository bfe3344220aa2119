create or replace function posthorn.pause(subscription_id integer, reason text default null) returns void
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  if length(reason) > 1000 then
    raise exception 'the reason has % characters', length(reason)
      using errcode = 'invalid_parameter_value', hint = 'Give 1,000 characters at most.';
  end if;
  perform posthorn.require_subscription(subscription_id, posthorn.allowed_tenants('{manage}'));
  if posthorn.set_paused(subscription_id, true, reason, reason is not null) = 'disabled' then
    raise exception 'the subscription % is disabled, so it can be neither paused nor resumed', subscription_id
      using errcode = 'object_not_in_prerequisite_state',
        hint = format('POST /v1/subscriptions/%s/enable makes it active.', subscription_id);
  end if;
end
$$;
comment on function posthorn.pause is
  'Pauses a subscription: its deliveries are held until it is resumed. Requests that are in flight are not aborted. Without a reason, a paused subscription keeps the reason that it has.';
revoke execute on function posthorn.pause from public;
