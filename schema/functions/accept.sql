-- All webhooks enter here. Most of them have few filters or none, are due at once, and their deliveries are not held
-- from the start. For these, the function uses small statements, and expressions that plpgsql caches, because starting a large
-- statement costs Postgres more than its rows. It passes all other webhooks to posthorn.accept_general.
-- *Measured*, as CPU of Postgres: a single webhook takes 190 to 230 µs, each of twenty in a call 21 to 30 µs.
--
-- A job names up to 25 deliveries, so they share the cost of the queue: three row writes and two index
-- entries for each job.
create or replace function posthorn.accept(
  -- All bodies in one bytea, and the start and length of each: an array of bytea would be sent as text, at
  -- twice the size and with every byte escaped.
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- The subscription that a webhook goes to; null: all matching subscriptions of the tenant.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  -- Each element is the text of a text[], or null, because arrays in an array must have the same length.
  channel_lists text[] default null,
  ordering_keys text[] default null,
  -- The position in the body at which the data for filters starts. 0: the whole body is data. Above 0: the
  -- body is an envelope, which ends one byte after its data. Null: unknown.
  data_starts integer[] default null,
  -- Null: no webhook has a key. Webhooks with the same key are one request; its SHA-256 is the fingerprint.
  idempotency_keys text[] default null,
  fingerprints bytea[] default null,
  -- True: raise an error if a webhook is refused. False: return the reason in `outcomes`.
  all_or_none boolean default true,
  -- True: all webhooks belong to one tenant, and no other tenant waits for this statement.
  apart boolean default false,
  -- The headers of its sender or source that a webhook's deliveries get: the text of a json object, or null.
  header_lists text[] default null,
  -- The number of the worker that calls this and will send so many deliveries at most from its memory; they get
  -- no jobs. See src/sending/hand-over.ts.
  worker integer default null,
  room integer default 0,
  -- When each webhook is to be delivered; an element that is null or in the past means at once. Null: all at once.
  deliver_ats timestamptz[] default null,
  -- In the order given; null if the subscription does not exist, or `outcomes` has the reason.
  out ids uuid[],
  -- The number of deliveries of each webhook.
  out deliveries integer[],
  -- Null if all webhooks were accepted; an element is null if its webhook was accepted. Otherwise: replayed
  -- (accepted earlier with the same key), in_flight (another request with the key is running), reused (the
  -- key was used for another request), filters_cost (its filters would take too long), fan_out (too many
  -- subscriptions match), or apart (it takes too long for a statement that tenants share; accept it in a statement for its tenant only).
  out outcomes text[],
  -- The deliveries that were handed over to the worker: the place of each one's webhook, counted from 1, and its
  -- subscription. Null: none.
  out handed_places integer[],
  out handed_subscriptions integer[]
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  many constant integer := coalesce(cardinality(lengths), 0);
  -- More deliveries, and filters that take longer (in the unit of accept_general), need the limits there.
  most constant integer := 500;
  most_work constant integer := 64 * 1024;
  simple boolean := deliver_ats is null;
  matching integer[];
  -- The deliveries: the nth is that of the webhook at the nth place to the nth subscription.
  places integer[];
  subscriptions integer[];
  -- The filter of each delivery, or null; null if there is none at all.
  tests jsonpath[];
  size integer;
  per_job integer;
  jobs json[];
  priority smallint;
begin
  if idempotency_keys is not null then
    select k.outcomes from posthorn.claim_idempotency_keys(tenants, idempotency_keys, fingerprints) k into outcomes;
    simple := simple and array_remove(outcomes, null) = '{}';
  end if;

  -- For a single webhook, the case of a service at rest, expressions without a query do: plpgsql runs an expression
  -- that has a query as a statement, which takes 12 to 16 µs more (*measured*).
  if simple and many = 1 then
    matching := subscription_ids;
    if matching[1] is null then
      matching := posthorn.matching_subscriptions(tenants[1], event_types[1], channel_lists[1]::text[]);
    end if;
    select array_agg(w.id),
      case when bool_or(w.test is not null) then array_agg(w.test) end,
      coalesce(not bool_or(w.special) and sum(w.filter_cost) * lengths[1] / 2 <= most_work, true)
        and count(*) <= most and (subscription_ids[1] is null or count(*) = 1)
    from (
      select s.id, s.through_backlog or s.tenant <> tenants[1] as special,
        case when subscription_ids[1] is null then s.filter_test end as test,
        case when subscription_ids[1] is null then coalesce(s.filter_cost, 0) else 0 end as filter_cost
      from posthorn.subscriptions s
      where s.id = any (matching) and s.deleted_at is null and (subscription_ids[1] is not null or s.status <> 'disabled')
    ) as w
    into subscriptions, tests, simple;
    if tests is not null then
      places := array_fill(1, array[cardinality(subscriptions)]);
    end if;
  elsif simple then
    -- Webhooks with the same type, channels and tenant are looked up together.
    select array_agg(w.place order by w.place), array_agg(w.subscription_id order by w.place),
      case when bool_or(w.test is not null) then array_agg(w.test order by w.place) end,
      coalesce(not bool_or(w.special) and sum(w.filter_work) <= most_work, true) and count(*) <= most
        and count(*) filter (where w.by_id) = many - cardinality(array_positions(subscription_ids, null))
    from (
      select place, s.id as subscription_id, g.subscription_id is not null as by_id,
        s.through_backlog or s.tenant <> g.tenant as special,
        case when g.subscription_id is null then s.filter_test end as test,
        case when g.subscription_id is null and s.filter_test is not null
          then s.filter_cost::bigint * lengths[place] / 2 else 0 end as filter_work
      from (
        select u.subscription_id, u.tenant, array_agg(u.place) as places,
          case when u.subscription_id is null
            then posthorn.matching_subscriptions(u.tenant, u.event_type, u.channels::text[])
            else array[u.subscription_id] end as matching
        from unnest(subscription_ids, tenants, event_types, channel_lists)
          with ordinality as u (subscription_id, tenant, event_type, channels, place)
        group by u.subscription_id, u.tenant, u.event_type, u.channels
        -- So that the function runs once for a group, and not for each subscription of the join.
        offset 0
      ) as g
      -- `any` of an array finds each subscription once, however often it is in it.
      join posthorn.subscriptions s on s.id = any (g.matching)
        and s.deleted_at is null and (g.subscription_id is not null or s.status <> 'disabled')
      cross join unnest(g.places) as place
    ) as w
    into places, subscriptions, tests, simple;
  end if;

  if simple and tests is not null then
    -- Data that jsonb cannot hold is null. accept_general knows what to do then.
    with filtered as materialized (
      select w.place, case
          when data_starts[w.place] is null then posthorn.webhook_data(w.body, event_types[w.place])
          else posthorn.try_jsonb(substring(w.body from data_starts[w.place] + 1
            for length(w.body) - data_starts[w.place] - case data_starts[w.place] when 0 then 0 else 1 end))
        end as data
      from (
        select distinct o.place, substring(bodies from starts[o.place] + 1 for lengths[o.place]) as body
        from unnest(places, tests) as o (place, test)
        where o.test is not null
      ) as w
    )
    select
      array_agg(o.place order by o.nth) filter (where o.test is null or jsonb_path_exists(f.data, o.test, '{}', true)),
      array_agg(o.subscription_id order by o.nth)
        filter (where o.test is null or jsonb_path_exists(f.data, o.test, '{}', true)),
      not exists (select from filtered where data is null)
    from unnest(places, subscriptions, tests) with ordinality as o (place, subscription_id, test, nth)
    left join filtered f using (place)
    into places, subscriptions, simple;
  end if;

  if not simple then
    select a.ids, a.deliveries, a.outcomes, a.handed_places, a.handed_subscriptions
    from posthorn.accept_general(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
      channel_lists, ordering_keys, data_starts, idempotency_keys, fingerprints, all_or_none, apart, header_lists,
      worker, room, deliver_ats) as a
    into ids, deliveries, outcomes, handed_places, handed_subscriptions;
    return;
  end if;

  if many = 1 then
    ids := array[posthorn.store_webhook(substring(bodies from starts[1] + 1 for lengths[1]), content_types[1], tenants[1],
      event_types[1], channel_lists[1]::text[], ordering_keys[1], header_lists[1]::jsonb, subscriptions, worker, room)];
    deliveries := array[coalesce(cardinality(subscriptions), 0)];
    if room > 0 and subscriptions is not null then
      handed_subscriptions := subscriptions[:room];
      handed_places := array_fill(1, array[cardinality(handed_subscriptions)]);
    end if;
  else
    ids := array(select posthorn.uuidv7() from generate_series(1, many));
    insert into posthorn.webhook_payloads
      (id, accepted_at, tenant, event_type, content_type, body, channels, ordering_key, headers)
    select g.id, posthorn.uuidv7_time(g.id), g.tenant, g.event_type, g.content_type,
      substring(bodies from g.start + 1 for g.length), g.channels::text[], g.ordering_key, g.headers::jsonb
    from unnest(ids, tenants, event_types, content_types, starts, lengths, channel_lists, ordering_keys, header_lists)
      as g (id, tenant, event_type, content_type, start, length, channels, ordering_key, headers);

    places := coalesce(places, '{}');
    size := cardinality(places);
    insert into posthorn.deliveries (webhook_id, subscription_id, handed_to)
    select ids[o.place], o.subscription_id, case when o.nth <= room then worker end
    from unnest(places, subscriptions) with ordinality as o (place, subscription_id, nth);
    if room > 0 then
      handed_places := places[:room];
      handed_subscriptions := subscriptions[:room];
    end if;
    if size > room then
      per_job := least(25, greatest(1, (size - room) / 3));
      for nth in room + 1 .. size by per_job loop
        if per_job = 1 then
          jobs := jobs || posthorn.deliver_job(1, lengths[places[nth]], array[ids[places[nth]]], subscriptions[nth : nth]);
          continue;
        end if;
        jobs := jobs || posthorn.deliver_job(
          1,
          (select sum(lengths[place]) from unnest(places[nth : nth + per_job - 1]) as place),
          (select array_agg(ids[place]) from unnest(places[nth : nth + per_job - 1]) as place),
          subscriptions[nth : nth + per_job - 1]);
      end loop;
      -- An assignment, because plpgsql runs `perform` as a statement. The value is not needed.
      priority := posthorn.add_deliver_jobs(jobs, size);
    end if;

    -- Counted together, because a search through all places for each webhook took a fifth of the time of a thousand.
    deliveries := array(
      select coalesce(o.deliveries, 0)::integer
      from generate_series(1, many) as place
      left join (select o.place, count(*) as deliveries from unnest(places) as o (place) group by o.place) as o using (place)
      order by place);
  end if;
  if idempotency_keys is not null then
    perform posthorn.store_idempotency_keys(tenants, idempotency_keys, fingerprints, outcomes, ids, deliveries);
  end if;
end
$$;
comment on function posthorn.accept is
  'Stores webhooks, their deliveries and the jobs that wake the workers, for HTTP and SQL alike. Returns their ids in the order given.';
revoke execute on function posthorn.accept from public;
