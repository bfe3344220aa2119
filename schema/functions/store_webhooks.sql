-- The statement of posthorn.send_many for webhooks of one type, such as those of a watch or of a query. They go to the
-- same subscriptions, so one statement stores all of them, and plpgsql does nothing for each.
create or replace function posthorn.store_webhooks(
  event_type text,
  data jsonb[],
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
  subscriptions integer[];
  is_ordinary boolean;
  per_job integer;
  ids uuid[];
  jobs json[];
  bad integer;
  priority smallint;
begin
  select array_agg(s.id), count(*) * many <= most and bool_or(s.through_backlog or s.filter_test is not null) is not true
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
  per_job := least(25, greatest(1, many * coalesce(cardinality(subscriptions), 0) / 3));
  with given as materialized (
    select posthorn.uuidv7() as id, head || convert_to(coalesce(u.item::text, 'null') || '}', 'UTF8') as body, u.key, u.nth
    from (select unnest(data) as item, unnest(ordering_keys) as key, generate_series(1, many) as nth) as u
  ), payloads as (
    insert into posthorn.webhook_payloads (id, accepted_at, tenant, event_type, content_type, body, channels, ordering_key)
    select g.id, posthorn.uuidv7_time(g.id), tenant, event_type, 'application/json', g.body, channels, g.key from given g
  ), owed as materialized (
    select g.id, s.id as subscription_id, length(g.body) as bytes, (row_number() over () - 1) / per_job as job
    from given g cross join unnest(subscriptions) as s (id)
  ), stored as (
    insert into posthorn.deliveries (webhook_id, subscription_id) select o.id, o.subscription_id from owed o
  )
  select
    (select array_agg(g.id order by g.nth) from given g),
    (select min(g.nth) from given g where length(g.body) > max_body_bytes),
    (select array_agg(j.payload) from (
      select posthorn.deliver_job(1, sum(o.bytes), array_agg(o.id), array_agg(o.subscription_id)) as payload
      from owed o group by o.job) as j)
    into ids, bad, jobs;
  if bad is not null then
    perform posthorn.refuse_body(format('the webhook "%s" with its envelope', event_type),
      length(head) + octet_length(convert_to(data[bad]::text, 'UTF8')) + 1, max_body_bytes,
      format('It is number %s of %s in this call.', bad, many));
  end if;
  if jobs is not null then
    -- An assignment, because plpgsql runs `perform` as a statement. The value is not needed.
    priority := posthorn.add_deliver_jobs(jobs, many * cardinality(subscriptions));
  end if;
  return ids;
end
$$;
comment on function posthorn.store_webhooks is
  'Stores webhooks of one type with their deliveries and jobs, and returns their ids in the order given. Null: nothing was stored, because a subscription has a filter, or its deliveries are held, or there are too many deliveries.';
revoke execute on function posthorn.store_webhooks from public;
