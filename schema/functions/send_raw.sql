-- The function runs with the rights of its owner, so an application needs only the right to call it. What it takes is
-- what /ingest takes, except that any content type besides JSON is taken: the application vouches for it.
create or replace function posthorn.send_raw(
  -- Delivered byte for byte, without an envelope.
  body bytea,
  content_type text default 'application/json',
  event_type text default null,
  subscription_id integer default null,
  tenant text default 'default',
  channels text[] default null,
  ordering_key text default null,
  idempotency_key text default null,
  deliver_at timestamptz default null,
  headers jsonb default null
) returns uuid
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set default_tablespace = '' set default_table_access_method = heap
as $$
declare
  -- A media type with parameters (RFC 9110, 8.3.1), in the characters that a header may have.
  media_type constant text :=
    '^[!#$%&''*+.^_`|~0-9A-Za-z-]+/[!#$%&''*+.^_`|~0-9A-Za-z-]+[ \t]*(;[\t\u0020-\u007e\u0080-\u00ff]*)?$';
  json_type constant text := '^application/([0-9a-z_.+-]+[+])?json[ \t]*(;|$)';
  max_body_bytes constant bigint := posthorn.check_sending(
    case when event_type is null then '{}' else array[event_type] end, tenant, channels,
    case when ordering_key is not null then array[ordering_key] end, idempotency_key, subscription_id);
  written text;
begin
  if event_type is null and subscription_id is null then
    raise exception 'the webhook has neither an event type nor a subscription'
      using errcode = 'invalid_parameter_value', hint = 'Give event_type, subscription_id, or both.';
  end if;
  if content_type is null or length(content_type) > 255 or content_type !~ media_type then
    raise exception '% is not a content type', coalesce('"' || left(content_type, 200) || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Give a type such as text/plain or application/xml; charset=utf-8, of 255 characters at most.';
  end if;
  if coalesce(length(body), 0) = 0 then
    raise exception 'the body is empty'
      using errcode = 'invalid_parameter_value', hint = 'Give the bytes that are to be delivered.';
  end if;
  if length(body) > max_body_bytes then
    perform posthorn.refuse_body('the webhook', length(body), max_body_bytes);
  end if;
  if lower(content_type collate "C") ~ json_type then
    begin
      written := convert_from(body, 'UTF8');
    exception when character_not_in_repertoire or untranslatable_character then
      raise exception 'the body is not UTF-8, which JSON must be'
        using errcode = 'invalid_text_representation',
          hint = 'Give JSON in UTF-8, or another content type for other bytes.';
    end;
    perform posthorn.check_json(written);
  end if;
  return posthorn.send_body('posthorn.send_raw', body, 0, content_type, event_type, tenant, channels, ordering_key,
    idempotency_key, subscription_id, deliver_at, headers);
end
$$;
comment on function posthorn.send_raw is
  'Sends a webhook whose body is these bytes, by event type, to one subscription, or both. Returns the id of the webhook.';
revoke execute on function posthorn.send_raw from public;
