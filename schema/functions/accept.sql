-- The one entrance for webhooks. Most of them go to given subscriptions that can be sent to now, without an
-- idempotency key; for these it takes small statements, and expressions that plpgsql keeps ready, because
-- most of the time of a call is not the rows but starting a statement that can do everything. All others go
-- to posthorn.accept_general. *Measured*: a lone webhook costs Postgres 1,020 µs instead of 1,280, one of
-- twenty 106 instead of 140.
--
-- A job names up to 25 deliveries, since it is only a wake-up: the queue's own cost, three row writes and
-- two index entries, is shared by them.
create or replace function posthorn.accept(
  -- All bodies in one bytea, with the place of each: an array of bytea would be sent as text, at twice the
  -- size and with every byte escaped.
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- To this subscription alone; null: to all subscriptions of the tenant that want it.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  -- Each the text of a text[], since the arrays in an array must have the same length; or null.
  channel_lists text[] default null,
  ordering_keys text[] default null,
  -- Where the data begin that filters look at. 0: the body is all data; otherwise it is an envelope, which
  -- ends one byte after its data. Null: not known.
  data_starts integer[] default null,
  -- Null: no webhook has one. Webhooks with the same key are one request, whose SHA-256 is the fingerprint.
  idempotency_keys text[] default null,
  fingerprints bytea[] default null,
  -- Whether to raise an error if a webhook is refused, instead of returning why.
  all_or_none boolean default true,
  -- Whether all webhooks are one tenant's, and no other tenant waits for this statement.
  apart boolean default false,
  -- In the order given; null where the subscription does not exist, or the outcome says why.
  out ids uuid[],
  -- How many deliveries each has.
  out deliveries integer[],
  -- Null for all, or null for each that was accepted. Otherwise: replayed (accepted earlier with the same
  -- key), in_flight (another request with the key is running), reused (the key was used for another
  -- request), filters_cost (its filters would take too long), or apart (it takes too long for a statement
  -- that it shares with other tenants; accept it in one of its own).
  out outcomes text[]
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- The day of ids that are made while midnight passes.
  soon constant date := ((clock_timestamp() + interval '1 minute') at time zone 'UTC')::date;
  many constant integer := coalesce(cardinality(subscription_ids), 0);
  simple boolean;
  owners text[];
  per_job integer;
  jobs graphile_worker.job_spec[];
begin
  if idempotency_keys is null and array_position(subscription_ids, null) is null then
    select array_agg(g.id order by g.place), array_agg(s.tenant order by g.place),
      count(*) = many and not bool_or(s.through_backlog)
    from (
      select posthorn.uuidv7() as id, u.subscription_id, u.place
      from unnest(subscription_ids) with ordinality as u (subscription_id, place)
      offset 0
    ) as g
    join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    into ids, owners, simple;
    if simple then
      -- The first check of ensure_partitions, here too: calling it costs more than checking.
      if soon <> today or to_regclass('posthorn.delivery_attempts_' || to_char(today, 'YYYYMMDD')) is null then
        perform posthorn.ensure_partitions(today, soon);
      end if;
      insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body, channels, ordering_key)
      select g.id, g.tenant, g.event_type, g.content_type, substring(bodies from g.start + 1 for g.length),
        g.channels::text[], g.ordering_key
      from unnest(ids, owners, event_types, content_types, starts, lengths, channel_lists, ordering_keys)
        as g (id, tenant, event_type, content_type, start, length, channels, ordering_key);
      insert into posthorn.deliveries (webhook_id, subscription_id)
      select g.id, g.subscription_id from unnest(ids, subscription_ids) as g (id, subscription_id);
      per_job := least(25, greatest(1, many / 3));
      for nth in 1 .. many by per_job loop
        jobs := jobs || ('deliver', json_build_object(
            'attempt', 1,
            'bytes', starts[least(many, nth + per_job - 1)] + lengths[least(many, nth + per_job - 1)] - starts[nth],
            'webhooks', array_to_json(ids[nth : nth + per_job - 1]),
            'subscriptions', array_to_json(subscription_ids[nth : nth + per_job - 1])
          ), null, null, 32767, null, null, null)::graphile_worker.job_spec;
      end loop;
      perform posthorn.add_deliver_jobs(jobs, many);
      deliveries := array_fill(1, array[many]);
      return;
    end if;
  end if;

  select a.ids, a.deliveries, a.outcomes
  from posthorn.accept_general(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
    channel_lists, ordering_keys, data_starts, idempotency_keys, fingerprints, all_or_none, apart) as a
  into ids, deliveries, outcomes;
end
$$;
comment on function posthorn.accept is
  'Stores webhooks, their deliveries and the jobs that wake the workers, for HTTP and SQL alike. Returns their ids in the order given.';
revoke execute on function posthorn.accept from public;
