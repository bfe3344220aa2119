-- Stores webhooks of one type, such as those of a watch or of a query, for posthorn.send_many and posthorn.send_watched.
-- They go to the same subscriptions, so a few statements store all of them, and plpgsql does nothing for each.
--
-- Their ids are one new id with their number in 12 of its random bits, so they are in the order given, and the clock and
-- the source of random numbers are asked once.
create or replace function posthorn.store_webhooks(
  event_type text,
  -- JSON; null: the JSON value null.
  data text[],
  tenant text,
  channels text[],
  -- One for each webhook; null: none has one.
  ordering_keys text[],
  max_body_bytes bigint
) returns uuid[]
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  -- For posthorn.list_matching_subscriptions.
  set enable_seqscan = off
as $$
declare
  head constant bytea := posthorn.webhook_head(event_type);
  many constant integer := cardinality(data);
  -- More deliveries would need more memory.
  most constant integer := 25000;
  -- As many as 12 bits can number.
  most_webhooks constant integer := 4096;
  subscriptions integer[];
  is_ordinary boolean;
  per_job integer;
  first_id constant uuid := posthorn.uuidv7();
  id_text constant text := first_id::text;
  sent_at constant timestamptz := posthorn.uuidv7_time(first_id);
  ids uuid[];
  sizes integer[];
  jobs json[];
  bad integer;
  priority smallint;
begin
  select array_agg(s.id), many <= most_webhooks and count(*) * many <= most and bool_or(s.through_backlog or s.filter_test is not null) is not true
    from posthorn.subscriptions s
    -- `any` of an array finds each subscription once, however often it is in it.
    where s.id = any (array(
        select m.id from posthorn.list_matching_subscriptions(store_webhooks.tenant, store_webhooks.event_type,
          store_webhooks.channels) as m (id)))
      and s.tenant = store_webhooks.tenant and s.deleted_at is null and s.status <> 'disabled'
    into subscriptions, is_ordinary;
  if not is_ordinary then
    return null;
  end if;
  with stored as (
    insert into posthorn.webhook_payloads (id, accepted_at, tenant, event_type, content_type, body, channels, ordering_key)
    select overlay(id_text placing lpad(to_hex(u.nth), 3, '0') from 21 for 3)::uuid, sent_at, tenant, event_type, 'application/json',
      head || convert_to(coalesce(u.item, 'null') || '}', 'UTF8'), channels, u.key
    from (select unnest(data) as item, unnest(ordering_keys) as key, generate_series(0, many - 1) as nth) as u
    returning id, length(body) as size
  )
  select array_agg(s.id order by s.id), array_agg(s.size order by s.id) from stored s
    into ids, sizes;
  bad := (select min(u.nth) from unnest(sizes) with ordinality as u (size, nth) where u.size > max_body_bytes);
  if bad is not null then
    perform posthorn.refuse_body(format('the webhook "%s" with its envelope', event_type), sizes[bad], max_body_bytes,
      format('It is number %s of %s in this call.', bad, many));
  end if;
  if subscriptions is not null then
    insert into posthorn.deliveries (webhook_id, subscription_id)
      select unnest(ids), s.id from unnest(subscriptions) as s (id);
    per_job := least(25, greatest(1, many * cardinality(subscriptions) / 3));
    select array_agg(j.payload)
      from (
        select posthorn.deliver_job(1, sum(o.size), array_agg(o.id), array_agg(o.subscription_id)) as payload
        from (
          select w.id, w.size, s.id as subscription_id, (row_number() over () - 1) / per_job as job
          from unnest(ids, sizes) as w (id, size) cross join unnest(subscriptions) as s (id)
        ) as o
        group by o.job
      ) as j
      into jobs;
    -- An assignment, because plpgsql runs `perform` as a statement. The value is not needed.
    priority := posthorn.add_deliver_jobs(jobs, many * cardinality(subscriptions));
  end if;
  return ids;
end
$$;
comment on function posthorn.store_webhooks is
  'Stores webhooks of one type with their deliveries and jobs, and returns their ids in the order given. Null: nothing was stored, because a subscription has a filter, or its deliveries are held, or there are too many deliveries.';
revoke execute on function posthorn.store_webhooks from public;
