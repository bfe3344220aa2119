-- The end of posthorn.send_json and send_raw, which check what is theirs.
create or replace function posthorn.send_body(
  -- The name of the function that the application called, which is part of what its idempotency key stands for.
  called text,
  body bytea,
  -- As posthorn.accept takes it.
  data_start integer,
  content_type text,
  event_type text,
  tenant text,
  channels text[],
  ordering_key text,
  idempotency_key text,
  subscription_id integer,
  deliver_at timestamptz,
  headers jsonb
) returns uuid
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  header_list constant text := posthorn.check_headers(headers);
  due constant timestamptz := posthorn.check_deliver_at(deliver_at);
  request_hash bytea;
  sent record;
begin
  if idempotency_key is not null then
    request_hash := sha256(convert_to(jsonb_build_array(called, content_type, event_type, channels, ordering_key,
        subscription_id, due, header_list::jsonb)::text, 'UTF8')
      || sha256(substring(body from data_start + 1)));
  end if;
  sent := posthorn.accept(body, '{0}', array[length(body)], array[content_type], array[subscription_id], array[tenant],
    array[event_type],
    case when channels is not null then array[channels::text] end,
    case when ordering_key is not null then array[ordering_key] end,
    array[data_start],
    case when idempotency_key is not null then array[idempotency_key] end,
    case when idempotency_key is not null then array[request_hash] end,
    true,
    header_lists => case when header_list is not null then array[header_list] end,
    deliver_ats => case when due is not null then array[due] end);
  if sent.outcomes[1] is not null then
    perform posthorn.refuse_idempotency_key(sent.outcomes[1], idempotency_key);
  end if;
  if sent.ids[1] is null then
    raise exception 'the subscription % was deleted while the webhook was being sent', subscription_id
      using errcode = 'foreign_key_violation';
  end if;
  return sent.ids[1];
end
$$;
comment on function posthorn.send_body is
  'Sends a webhook with this body, as posthorn.send_json and send_raw have checked it. Returns its id.';
revoke execute on function posthorn.send_body from public;
