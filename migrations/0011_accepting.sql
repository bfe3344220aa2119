-- 0011: accepting costs Postgres less, above all what each call costs, which a lone webhook pays by itself.
--
-- Why it looks like this:
-- * Most of a call was not the rows. It was one statement that can do everything, begun anew each time.
--   What goes to given subscriptions that want it now, without an idempotency key, needs little of that:
--   small statements do it, and expressions that plpgsql keeps ready. Everything else goes the way it went.
-- * Whether today's partitions are there is looked at here, as ensure_partitions does.
-- Locks: none, a new function. Processes of the version before call posthorn.accept, which stays.

create function posthorn.accept_group(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  channel_lists text[],
  ordering_keys text[],
  data_starts integer[],
  idempotency_keys text[],
  fingerprints bytea[],
  all_or_none boolean,
  out ids uuid[],
  out deliveries integer[],
  out outcomes text[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  -- Ids made while midnight passes belong to it.
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
      -- What ensure_partitions looks at first, which costs more to call than to look at.
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
  from posthorn.accept(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
    channel_lists, ordering_keys, data_starts, idempotency_keys, fingerprints, all_or_none) as a
  into ids, deliveries, outcomes;
end
$$;
comment on function posthorn.accept_group(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean) is
  'What posthorn.accept does, and means by each parameter; quicker where all goes to given subscriptions that want it now.';
revoke execute on function posthorn.accept_group(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[], integer[], text[], bytea[], boolean) from public;
