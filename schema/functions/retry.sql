create or replace function posthorn.retry(webhook_id uuid, subscription_id integer default null) returns integer
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant text[] := posthorn.allowed_tenants('{manage}');
  -- Without a subscription, receivers that have the webhook already do not get it again.
  states constant posthorn.delivery_state[] := case when subscription_id is null then '{failed,cancelled,pending}'
    else '{succeeded,failed,cancelled,pending}' end;
  subscriptions integer[];
  refusal text;
  target integer;
begin
  if subscription_id is not null then
    subscriptions := array[subscription_id];
  else
    -- Deliveries of a deleted subscription are left out, because the caller did not name it.
    subscriptions := array(
      select s.id from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
      where d.webhook_id = retry.webhook_id and (allowed is null or s.tenant = any (allowed)) and s.deleted_at is null
      order by s.id);
  end if;
  -- The body, which is the same for all.
  target := subscriptions[1];
  refusal := posthorn.retry_refusal(webhook_id, target, allowed);
  if refusal = 'unknown' then
    raise exception 'there is no delivery of the webhook %', coalesce(webhook_id::text, 'null')
        || coalesce(' to the subscription ' || subscription_id, '')
      using errcode = 'foreign_key_violation',
        hint = 'posthorn.status(webhook_id) lists the deliveries of a webhook that you may see.';
  elsif refusal = 'too many attempts' and subscription_id is null then
    -- The others are sent.
  elsif refusal is not null then
    raise exception 'the delivery of the webhook % to the subscription % cannot be tried again: %', webhook_id, target,
        case refusal
          when 'subscription deleted' then 'its subscription is deleted'
          when 'body expired' then 'the body of its webhook is deleted'
          else 'it has had as many attempts as can be counted' end
      using errcode = 'object_not_in_prerequisite_state', hint = 'Send it as a new webhook.';
  end if;
  return posthorn.reopen(array_fill(webhook_id, array[cardinality(subscriptions)]), subscriptions, states);
end
$$;
comment on function posthorn.retry is
  'Sends a delivery again, or all deliveries of a webhook that have not succeeded: at once, when the transaction commits. Returns how many are due now and were not before.';
revoke execute on function posthorn.retry from public;
