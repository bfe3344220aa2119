create or replace function posthorn.send(
  event_type text,
  data jsonb,
  tenant text default 'default',
  channels text[] default null,
  ordering_key text default null,
  idempotency_key text default null,
  subscription_id integer default null
) returns uuid
  language sql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  return (posthorn.send_many(array[event_type], array[data], tenant, channels,
    case when ordering_key is not null then array[ordering_key] end, idempotency_key, subscription_id))[1];
comment on function posthorn.send is
  'Sends a webhook to all matching subscriptions of the tenant, or to one subscription, in the caller''s transaction. Returns the id of the webhook.';
revoke execute on function posthorn.send from public;
