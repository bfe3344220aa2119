-- The function runs with the rights of its owner, so an application needs only the right to call it.
create or replace function posthorn.send_json(
  event_type text,
  -- JSON, which is delivered as it is given: jsonb would change the order of keys and the spelling of numbers.
  data text,
  tenant text default 'default',
  channels text[] default null,
  ordering_key text default null,
  idempotency_key text default null,
  subscription_id integer default null,
  deliver_at timestamptz default null,
  headers jsonb default null
) returns uuid
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set default_tablespace = '' set default_table_access_method = heap
as $$
declare
  max_body_bytes constant bigint := posthorn.check_sending(array[event_type], tenant, channels,
    case when ordering_key is not null then array[ordering_key] end, idempotency_key, subscription_id);
  written constant text := coalesce(data, 'null');
  head constant bytea := posthorn.webhook_head(event_type);
  body bytea;
  size bigint := length(head) + octet_length(written) + 1;
begin
  -- A body that is too large already is neither copied nor parsed.
  if size <= max_body_bytes then
    body := head || convert_to(written || '}', 'UTF8');
    size := length(body);
  end if;
  if size > max_body_bytes then
    perform posthorn.refuse_body(format('the webhook "%s" with its envelope', event_type), size, max_body_bytes);
  end if;
  perform posthorn.check_json(written);
  return posthorn.send_body('posthorn.send_json', body, length(head), 'application/json', event_type, tenant, channels,
    ordering_key, idempotency_key, subscription_id, deliver_at, headers);
end
$$;
comment on function posthorn.send_json is
  'Sends a webhook like posthorn.send. Its data is the text of JSON, which is delivered as it is given.';
revoke execute on function posthorn.send_json from public;
