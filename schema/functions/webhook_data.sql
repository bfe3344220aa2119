-- For webhooks whose body may be data alone or an envelope around the data.
create or replace function posthorn.webhook_data(body bytea, event_type text) returns jsonb
  language sql immutable parallel safe
  return case
    when substring(body for length(convert_to(event_type, 'UTF8')) + 24)
      = convert_to('{"type":"' || event_type || '","timestamp":"', 'UTF8')
    then posthorn.try_jsonb(body) -> 'data'
    else posthorn.try_jsonb(body)
  end;
comment on function posthorn.webhook_data is
  'The data of a webhook, without the envelope that Posthorn puts around data that is sent by event type.';
revoke execute on function posthorn.webhook_data from public;
