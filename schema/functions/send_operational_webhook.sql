create or replace function posthorn.send_operational_webhook(event_type text, data jsonb, tenant text) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  body bytea;
begin
  if not exists (
    select from posthorn.subscriptions s
    where s.id = any (posthorn.matching_subscriptions(send_operational_webhook.tenant,
        send_operational_webhook.event_type, null))
      and s.status <> 'disabled'
  ) then
    return;
  end if;
  body := posthorn.webhook_head(event_type) || convert_to(data::text || '}', 'UTF8');
  perform posthorn.accept(
    body, array[0], array[octet_length(body)], array['application/json'], array[null::integer],
    array[tenant], array[event_type]);
end
$$;
comment on function posthorn.send_operational_webhook is
  'Sends an operational webhook to the subscriptions of the tenant that list its type, in the caller''s transaction.';
revoke execute on function posthorn.send_operational_webhook from public;
