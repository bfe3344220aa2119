-- The body of a webhook is this, its data and a brace, as Standard Webhooks defines it. Postgres puts the
-- expression in the place of the call, so a call costs nothing.
create or replace function posthorn.webhook_head(event_type text) returns bytea
  language sql volatile parallel safe
  return convert_to('{"type":' || to_jsonb(event_type)::text || ',"timestamp":"'
    || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '","data":', 'UTF8');
comment on function posthorn.webhook_head is
  'The part of a webhook''s body before its data, with the time of now.';
revoke execute on function posthorn.webhook_head from public;
