create or replace function posthorn.cancel(webhook_id uuid, subscription_id integer default null) returns integer
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  allowed constant text[] := posthorn.allowed_tenants('{manage}');
  subscriptions constant integer[] := array(
    select s.id from posthorn.deliveries d join posthorn.subscriptions s on s.id = d.subscription_id
    where d.webhook_id = cancel.webhook_id and (allowed is null or s.tenant = any (allowed))
      and (cancel.subscription_id is null or d.subscription_id = cancel.subscription_id)
    order by s.id);
begin
  if subscriptions = '{}' then
    raise exception 'there is no delivery of the webhook %', coalesce(webhook_id::text, 'null')
        || coalesce(' to the subscription ' || subscription_id, '')
      using errcode = 'foreign_key_violation',
        hint = 'posthorn.status(webhook_id) lists the deliveries of a webhook that you may see.';
  end if;
  return posthorn.cancel_deliveries(array_fill(webhook_id, array[cardinality(subscriptions)]), subscriptions);
end
$$;
comment on function posthorn.cancel is
  'Cancels a delivery, or all deliveries of a webhook, unless they have ended. Returns how many had not ended. A request that is in flight is not aborted.';
revoke execute on function posthorn.cancel from public;
