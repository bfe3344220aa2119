-- The function runs with the rights of its owner, so an application needs only the right to call it.
--
-- It passes the webhooks to posthorn.accept in portions. 100,000 webhooks in one portion took 538 MB of the
-- caller's backend; now only one portion is in memory besides the caller's arrays and one copy of them.
--
-- Why every function that is stored as text sets these settings: Postgres runs a function, and parses it, with
-- the settings of the caller. With standard_conforming_strings = off, '\.' in a pattern was read as '.'. The
-- functions that it calls need the settings too, because a session keeps a function as it parsed it first. Six
-- settings cost 2.5 µs a call, which cannot be noticed in the 400 µs or more of posthorn.send.
--
-- Three more settings are only needed where applications call: the partitions that are created in their
-- transaction get the same tablespace as those of the service, and a caller cannot turn off the counting for bulk.
create or replace function posthorn.send_many(
  event_types text[],
  data jsonb[],
  tenant text default 'default',
  -- The channels of all webhooks.
  channels text[] default null,
  -- One for each webhook.
  ordering_keys text[] default null,
  -- One for the whole call.
  idempotency_key text default null,
  subscription_id integer default null,
  -- When all webhooks are to be delivered; null: at once.
  deliver_at timestamptz default null,
  -- The headers of the deliveries of all webhooks.
  headers jsonb default null
) returns uuid[]
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set default_tablespace = '' set default_table_access_method = heap
as $$
declare
  -- The size of a portion. Larger ones are no faster.
  max_rows constant integer := 1000;
  max_bytes constant integer := 1024 * 1024;
  many constant integer := coalesce(cardinality(event_types), 0);
  shape constant text := '[1:' || many || ']';
  first_type constant text := event_types[array_lower(event_types, 1)];
  -- Null is equal to all elements of an empty array.
  alike constant boolean := first_type is not null and coalesce(first_type = all (event_types), false);
  max_body_bytes bigint;
  header_list text;
  due timestamptz;
  request_hash bytea;
  outcome text;
  head bytea;
  written text;
  size bigint;
  -- The portion that is being collected.
  bodies bytea;
  parts bytea[] := '{}';
  types text[] := '{}';
  keys text[];
  starts integer[] := '{}';
  lengths integer[] := '{}';
  data_starts integer[] := '{}';
  total integer := 0;
  portion integer := 0;
  sent record;
  -- The results of all portions.
  all_ids uuid[] := '{}';
  counts integer[] := '{}';
begin
  if many <> coalesce(cardinality(data), 0) then
    raise exception 'there are % event types and % data', many, coalesce(cardinality(data), 0)
      using errcode = 'invalid_parameter_value', hint = 'Give one event type for each element of data.';
  end if;
  if many <> coalesce(cardinality(ordering_keys), many) then
    raise exception 'there are % event types and % ordering keys', many, cardinality(ordering_keys)
      using errcode = 'invalid_parameter_value', hint = 'Give one ordering key for each webhook (null: no key), or leave the ordering keys out.';
  end if;
  max_body_bytes := posthorn.check_sending(case when alike then array[first_type] else event_types end, tenant, channels, ordering_keys, idempotency_key, subscription_id);
  header_list := posthorn.check_headers(headers);
  due := posthorn.check_deliver_at(deliver_at);
  if many = 0 then
    return '{}';
  end if;
  -- Arrays may start at any index and have several dimensions; this turns them into lists.
  if array_dims(event_types) <> shape then
    event_types := array(select unnest(event_types));
  end if;
  if array_dims(data) <> shape then
    data := array(select unnest(data));
  end if;
  if array_dims(ordering_keys) <> shape then
    ordering_keys := array(select unnest(ordering_keys));
  end if;

  if alike and many between 2 and max_rows and idempotency_key is null and subscription_id is null and header_list is null
    and due is null and pg_column_size(data) <= 4 * max_bytes then
    all_ids := posthorn.store_webhooks(first_type, data::text[], tenant, channels, ordering_keys, max_body_bytes);
    if all_ids is not null then
      return all_ids;
    end if;
    all_ids := '{}';
  end if;

  if idempotency_key is not null then
    -- Webhook by webhook, because one text of all webhooks took three times their size.
    request_hash := sha256(convert_to((jsonb_build_array('posthorn.send', many, channels, subscription_id)
      || case when header_list is null and due is null then '[]' else jsonb_build_array(header_list::jsonb, due) end)::text,
      'UTF8'));
    for nth in 1 .. many loop
      request_hash := sha256(request_hash || convert_to(
        jsonb_build_array(event_types[nth], ordering_keys[nth], data[nth])::text, 'UTF8'));
    end loop;
    select k.outcomes[1]
      from posthorn.claim_idempotency_keys(array[tenant], array[idempotency_key], array[request_hash]) as k
      into outcome;
    perform posthorn.refuse_idempotency_key(outcome, idempotency_key);
    if outcome = 'replayed' then
      select k.webhook_ids
        from posthorn.idempotency_keys k
        where k.key = idempotency_key and k.tenant = send_many.tenant and k.fingerprint = request_hash
          and k.created_at > clock_timestamp() - interval '25 hours'
        limit 1
        into all_ids;
      return all_ids;
    end if;
  end if;

  for nth in 1 .. many loop
    -- Once for webhooks of the same type, because writing the time takes as long as writing a small body.
    if portion = 0 or event_types[nth] <> event_types[nth - 1] then
      head := posthorn.webhook_head(event_types[nth]);
    end if;
    written := coalesce(data[nth]::text, 'null');
    size := length(head) + octet_length(written) + 1;
    -- A body that is too large already is not copied again.
    if size <= max_body_bytes then
      bodies := head || convert_to(written || '}', 'UTF8');
      size := length(bodies);
    end if;
    if size > max_body_bytes then
      perform posthorn.refuse_body(format('the webhook "%s" with its envelope', event_types[nth]), size, max_body_bytes,
        format('It is number %s of %s in this call.', nth, many));
    end if;
    portion := portion + 1;
    types := array_append(types, event_types[nth]);
    if ordering_keys is not null then
      keys := array_append(keys, ordering_keys[nth]);
    end if;
    starts := array_append(starts, total);
    lengths := array_append(lengths, size::integer);
    data_starts := array_append(data_starts, length(head));
    total := total + size;
    if many > 1 then
      parts := array_append(parts, bodies);
    end if;
    continue when nth < many and portion < max_rows and total < max_bytes;

    if many > 1 then
      select string_agg(part, ''::bytea order by place) from unnest(parts) with ordinality as p (part, place)
        into bodies;
    end if;
    sent := posthorn.accept(
      bodies,
      starts,
      lengths,
      array_fill('application/json'::text, array[portion]),
      array_fill(subscription_id, array[portion]),
      array_fill(tenant, array[portion]),
      types,
      case when channels is not null then array_fill(channels::text, array[portion]) end,
      keys,
      data_starts,
      null,
      null,
      true,
      header_lists => case when header_list is not null then array_fill(header_list, array[portion]) end,
      deliver_ats => case when due is not null then array_fill(due, array[portion]) end);
    if array_position(sent.ids, null) is not null then
      raise exception 'the subscription % was deleted while the webhooks were being sent', subscription_id
        using errcode = 'foreign_key_violation';
    end if;
    if nth = many and portion = many and idempotency_key is null then
      return sent.ids;
    end if;
    all_ids := all_ids || sent.ids;
    counts := counts || sent.deliveries;
    parts := '{}';
    types := '{}';
    keys := null;
    starts := '{}';
    lengths := '{}';
    data_starts := '{}';
    total := 0;
    portion := 0;
  end loop;

  if idempotency_key is not null then
    perform posthorn.store_idempotency_keys(array[tenant], array[idempotency_key], array[request_hash], null,
      all_ids[1:1], counts[1:1], all_ids, counts);
  end if;
  return all_ids;
end
$$;
comment on function posthorn.send_many is
  'Sends each webhook to all matching subscriptions of the tenant, or to one subscription, in the caller''s transaction. Returns the ids of the webhooks in the order given.';
revoke execute on function posthorn.send_many from public;
