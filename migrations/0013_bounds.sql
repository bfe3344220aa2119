-- 0013: what is sent from SQL has bounds, and no setting of the caller changes what our functions do.
--
-- Why it looks like this:
-- * A body that no worker can load stops whoever has to load it, so POSTHORN_MAX_BODY holds here too. The
--   service writes it into a table at its start: a setting (GUC) could be changed by any caller.
-- * send_many hands webhooks to posthorn.accept in portions. All at once, 100,000 of them took 538 MB of the
--   caller's backend; now a portion is all that is in memory besides the caller's arrays and one copy of them.
-- * A function runs with the settings of its caller, and is read by the parser with them too: with
--   standard_conforming_strings = off, '\.' in a pattern was '.'. So functions say which settings they
--   need, those that our own functions call too, since what a session has read once it keeps. Six settings
--   cost 2.5 µs a call; of posthorn.send, a millisecond, nothing of it can be measured.
-- Locks: none that matter, new objects and new versions of functions.

-- The limit ----------------------------------------------------------------------------------------

create table posthorn.limits (
  is_only_row boolean primary key default true check (is_only_row),
  max_body_bytes bigint not null default 1048576 check (max_body_bytes > 0),
  updated_at timestamptz not null default now()
);
comment on table posthorn.limits is
  'One row: the limits that SQL keeps as HTTP does. The process that started last has written its settings.';
insert into posthorn.limits default values;

-- Sending ------------------------------------------------------------------------------------------

create or replace function posthorn.judge_sending(
  event_types text[],
  tenant text,
  channels text[],
  ordering_keys text[],
  idempotency_key text,
  subscription_id integer
) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  bad text;
begin
  if judge_sending.tenant is null then
    raise exception 'the tenant is null' using errcode = 'null_value_not_allowed',
      hint = 'Leave it out for the tenant named default.';
  end if;
  perform posthorn.require_tenant(judge_sending.tenant);
  -- Lengths come first, so that no pattern is tried on megabytes, and no error repeats them.
  select t from unnest(event_types) as t
    where t is null or length(t) > 128 or t !~ '^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$'
    limit 1
    into bad;
  if found then
    raise exception '% is not an event type', coalesce('"' || left(bad, 200) || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write words of letters, digits, _ and - with dots between them, such as order.created; 128 characters at most.';
  end if;
  select t from unnest(event_types) as t where t like 'posthorn.%' limit 1 into bad;
  if found then
    raise exception 'event types that begin with "posthorn." are sent by Posthorn alone: "%"', bad
      using errcode = 'reserved_name', hint = 'Choose another first word.';
  end if;
  perform from posthorn.tenants t where t.id = judge_sending.tenant and t.strict_event_types;
  if found then
    select t from unnest(event_types) as t
      where not exists (
        select from posthorn.event_types e
        where e.tenant = judge_sending.tenant and e.name = t and e.archived_at is null)
      limit 1
      into bad;
    if found then
      raise exception 'the event type "%" is not registered, or is archived, and the tenant takes no others', bad
        using errcode = 'invalid_parameter_value', hint = 'Register it by POST /v1/event-types.';
    end if;
  end if;
  if cardinality(channels) not between 1 and 20 then
    raise exception 'there are % channels', cardinality(channels)
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 20, or null for none.';
  end if;
  select c from unnest(channels) as c
    where c is null or length(c) > 128 or c !~ '^[A-Za-z0-9_.:-]+$'
    limit 1
    into bad;
  if found then
    raise exception '% is not a channel', coalesce('"' || left(bad, 200) || '"', 'null')
      using errcode = 'invalid_parameter_value',
        hint = 'Write letters, digits, _ . : and -, such as project-42; 128 characters at most.';
  end if;
  perform from unnest(ordering_keys) as k where k = '' or length(k) > 256 limit 1;
  if found then
    raise exception 'an ordering key is empty or too long'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 256 characters, or null for none.';
  end if;
  if length(idempotency_key) > 255 or idempotency_key !~ '^[ -~]+$' then
    raise exception 'that cannot be an idempotency key'
      using errcode = 'invalid_parameter_value', hint = 'Give 1 to 255 characters of ASCII that can be seen, such as a UUID.';
  end if;
  if judge_sending.subscription_id is not null then
    perform from posthorn.subscriptions s
      where s.id = judge_sending.subscription_id and s.tenant = judge_sending.tenant and s.deleted_at is null;
    if not found then
      raise exception 'the tenant "%" has no subscription %', tenant, subscription_id
        using errcode = 'foreign_key_violation', hint = 'Leave it out to send to all that want the type.';
    end if;
  end if;
end
$$;

create or replace function posthorn.send_many(
  event_types text[],
  data jsonb[],
  tenant text default 'default',
  -- Of all of them.
  channels text[] default null,
  -- One for each.
  ordering_keys text[] default null,
  -- For all of them together.
  idempotency_key text default null,
  subscription_id integer default null
) returns uuid[]
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  -- Of a portion. Larger ones are no faster.
  max_rows constant integer := 1000;
  max_bytes constant integer := 1024 * 1024;
  sent_at constant text := to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
  many constant integer := coalesce(cardinality(event_types), 0);
  shape constant text := '[1:' || many || ']';
  max_body_bytes bigint;
  request_hash bytea;
  outcome text;
  head bytea;
  written text;
  size bigint;
  -- The portion.
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
  -- Of all of them.
  all_ids uuid[] := '{}';
  counts integer[] := '{}';
begin
  if many <> coalesce(cardinality(data), 0) then
    raise exception 'there are % event types and % data', many, coalesce(cardinality(data), 0)
      using errcode = 'invalid_parameter_value', hint = 'Give one event type for each.';
  end if;
  if many <> coalesce(cardinality(ordering_keys), many) then
    raise exception 'there are % event types and % ordering keys', many, cardinality(ordering_keys)
      using errcode = 'invalid_parameter_value', hint = 'Give one for each, null for those without, or none at all.';
  end if;
  perform posthorn.judge_sending(event_types, tenant, channels, ordering_keys, idempotency_key, subscription_id);
  if many = 0 then
    return '{}';
  end if;
  -- Arrays may begin at any number and have several dimensions; here they are lists.
  if array_dims(event_types) <> shape then
    event_types := array(select unnest(event_types));
  end if;
  if array_dims(data) <> shape then
    data := array(select unnest(data));
  end if;
  if array_dims(ordering_keys) <> shape then
    ordering_keys := array(select unnest(ordering_keys));
  end if;
  select l.max_body_bytes from posthorn.limits l into max_body_bytes;

  if idempotency_key is not null then
    -- Of each webhook by itself: all of them as one text were three times their size.
    request_hash := sha256(convert_to(jsonb_build_array('posthorn.send', many, channels, subscription_id)::text, 'UTF8'));
    for nth in 1 .. many loop
      request_hash := sha256(request_hash || convert_to(
        jsonb_build_array(event_types[nth], ordering_keys[nth], data[nth])::text, 'UTF8'));
    end loop;
    select k.outcomes[1]
      from posthorn.judge_keys(array[tenant], array[idempotency_key], array[request_hash]) as k
      into outcome;
    if outcome = 'in_flight' then
      raise exception 'another transaction is sending under the idempotency key "%"', idempotency_key
        using errcode = 'lock_not_available', hint = 'Send again once it has ended; what it sent is then returned.';
    elsif outcome = 'reused' then
      raise exception 'the idempotency key "%" was used for something else in the last 24 hours', idempotency_key
        using errcode = 'unique_violation', hint = 'Give each webhook a key of its own.';
    elsif outcome = 'replayed' then
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
    head := convert_to(
      '{"type":' || to_jsonb(event_types[nth])::text || ',"timestamp":"' || sent_at || '","data":', 'UTF8');
    written := coalesce(data[nth]::text, 'null');
    size := length(head) + octet_length(written) + 1;
    -- What is too large already is not copied once more.
    if size <= max_body_bytes then
      bodies := head || convert_to(written || '}', 'UTF8');
      size := length(bodies);
    end if;
    if size > max_body_bytes then
      raise exception 'the webhook "%" has % bytes with its envelope; at most % are allowed',
          event_types[nth], size, max_body_bytes
        using errcode = 'program_limit_exceeded',
          detail = format('It is number %s of %s in this call.', nth, many),
          hint = 'Send less, such as a link to the rest; or raise POSTHORN_MAX_BODY, which counts from the next start of the service.';
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
      true);
    if array_position(sent.ids, null) is not null then
      raise exception 'the subscription % was deleted at this moment', subscription_id
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
    perform posthorn.keep_keys(array[tenant], array[idempotency_key], array[request_hash], null, all_ids[1:1], counts[1:1]);
    -- keep_keys takes a row for each webhook, which for 100,000 of them took 70 MB.
    if many > 1 then
      update posthorn.idempotency_keys k set webhook_ids = all_ids, deliveries = counts
        where k.key = idempotency_key and k.tenant = send_many.tenant and k.webhook_ids = all_ids[1:1]
          and k.created_at > clock_timestamp() - interval '25 hours';
    end if;
  end if;
  return all_ids;
end
$$;

-- How many a transaction has sent is a setting too, which the caller may have set to anything.
create or replace function posthorn.add_deliver_jobs(jobs graphile_worker.job_spec[], deliveries integer) returns void
  language plpgsql as $$
declare
  bulk constant text := nullif(current_setting('posthorn.bulk', true), '');
  sent integer;
begin
  if bulk is null then
    sent := coalesce(substring(current_setting('posthorn.sent', true) from '^[0-9]{1,9}$'), '0')::integer + deliveries;
    perform set_config('posthorn.sent', least(sent, 999999999)::text, true);
  end if;
  if bulk = 'on' or sent > 500 then
    perform graphile_worker.add_jobs(array_agg(
      (identifier, payload, queue_name, run_at, max_attempts, job_key, 1, flags)::graphile_worker.job_spec))
    from unnest(jobs);
  else
    perform graphile_worker.add_jobs(jobs);
  end if;
end
$$;

-- Settings of the caller ---------------------------------------------------------------------------

do $$
declare
  settings constant text[] := array[
    -- How the parser reads our text: '\' in literals, and "= null".
    'standard_conforming_strings = on', 'transform_null_equals = off',
    -- NULL in the text of an array.
    'array_nulls = on',
    -- Times as text, which bounds of partitions are made of.
    'DateStyle = ''ISO, MDY''', 'TimeZone = ''UTC''',
    'search_path = pg_catalog, pg_temp'];
  setting text;
  each record;
begin
  for each in
    select p.oid::regprocedure as signature
    from pg_catalog.pg_proc p
    where p.pronamespace = 'posthorn'::regnamespace and p.prokind = 'f'
      -- A body that is SQL rather than text was read when the function was made.
      and (p.prosqlbody is null or p.prosecdef)
      -- This one is called for each webhook, and none of these settings means anything to it.
      and p.proname <> 'event_type_patterns'
  loop
    foreach setting in array settings loop
      execute format('alter function %s set %s', each.signature, setting);
    end loop;
  end loop;

  for each in
    select p.oid::regprocedure as signature
    from pg_catalog.pg_proc p
    where p.pronamespace = 'posthorn'::regnamespace and p.prokind = 'f'
      -- Whoever reads a view needs the right to call what it calls; uuidv7_floor is for ranges of ids;
      -- and a service that may create nothing asks whether the days to come have their partitions.
      and p.proname not in ('try_jsonb', 'uuidv7', 'uuidv7_floor', 'uuidv7_time', 'ensure_partitions')
  loop
    execute format('revoke execute on function %s from public', each.signature);
  end loop;
end
$$;

-- What only a caller from outside can have set. Partitions that a transaction of his makes go where
-- those of the service go, and what he sends is counted as what everybody sends.
alter function posthorn.send_many(text[], jsonb[], text, text[], text[], text, integer) set default_tablespace = '';
alter function posthorn.send_many(text[], jsonb[], text, text[], text[], text, integer) set default_table_access_method = heap;
alter function posthorn.send_many(text[], jsonb[], text, text[], text[], text, integer) set posthorn.bulk = '';
