-- 0011: accepting costs Postgres less, above all what each call costs, which a lone webhook pays by itself.
--
-- Why it looks like this:
-- * Most of a call was not the rows. It was one statement that can do everything, begun anew each time:
--   its forty steps, the expressions in them, the locks. What goes to given subscriptions that want it
--   now, without an idempotency key, needs none of that; small statements do it, and expressions that
--   plpgsql keeps ready. Everything else goes the way it went.
-- * Whether today's partitions are there is looked at here, as ensure_partitions does.
-- Locks: none but of the function. Processes of the version before go on, and get it too.

create or replace function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- To this subscription alone; null: to all of the tenant that want it.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  -- Each the text of a text[], since the arrays of one parameter have one length; or null.
  channel_lists text[],
  ordering_keys text[],
  -- Where in the body the data that filters look at begin. 0: it is all data; otherwise it is an
  -- envelope, which ends one byte after them. Null: not known.
  data_starts integer[],
  -- Null: nobody has one. Those with the same key are one request.
  idempotency_keys text[],
  fingerprints bytea[],
  -- Whether to raise an error rather than to refuse one of them.
  all_or_none boolean,
  out ids uuid[],
  out deliveries integer[],
  -- Null for all, or null for each that was accepted; replayed, in_flight, reused, filters_cost.
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
  -- Steps of filters times elements of data: half a second of a core where none matches.
  max_filters_cost constant bigint := 4 * 1024 * 1024;
  jobs graphile_worker.job_spec[];
  backlogs integer[];
  costly uuid[];
  given_ids uuid[];
  earlier_ids uuid[];
  earlier_deliveries integer[];
begin
  -- What ensure_partitions looks at first, which costs more to call than to look at.
  if soon <> today or to_regclass('posthorn.delivery_attempts_' || to_char(today, 'YYYYMMDD')) is null then
    perform posthorn.ensure_partitions(today, soon);
  end if;

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

  if idempotency_keys is not null then
    select k.outcomes, k.ids, k.deliveries from posthorn.judge_keys(tenants, idempotency_keys, fingerprints) k
      into outcomes, earlier_ids, earlier_deliveries;
  end if;

  with given as materialized (
    select posthorn.uuidv7() as id, g.*
    from unnest(starts, lengths, content_types, subscription_ids, tenants, event_types, channel_lists,
        ordering_keys, data_starts, outcomes)
      with ordinality as g (
        start, length, content_type, subscription_id, tenant, event_type, channels, ordering_key,
        data_start, outcome, place)
  ), live as materialized (
    select g.id, g.start, g.length, g.content_type, g.subscription_id, g.event_type,
      g.channels::text[] as channels, g.ordering_key, g.data_start, g.place,
      coalesce(s.tenant, g.tenant) as tenant,
      s.through_backlog, s.status = 'active' and not s.circuit_open as moving
    from given g
    left join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    where (g.subscription_id is null or s.id is not null) and g.outcome is null
  ), candidates as materialized (
    select live.id, s.id as subscription_id, live.length, live.place,
      s.through_backlog, s.status = 'active' and not s.circuit_open as moving,
      live.start, live.data_start, live.event_type, s.filter_test, s.filter_cost
    from (
      select *, posthorn.event_type_patterns(event_type) as patterns
      from live
      where subscription_id is null
      offset 0
    ) as live
    join posthorn.subscriptions s on s.tenant = live.tenant and s.deleted_at is null
      and s.status <> 'disabled'
      and (s.event_types && live.patterns or s.event_types is null and '*' = any (live.patterns))
      and (s.channels is null or s.channels && live.channels)
  ), filtering as materialized (
    -- A row a webhook that somebody filters: its data are read once for all of them.
    select id, place, length, start, data_start, event_type,
      array_agg(subscription_id) as subscription_ids, array_agg(filter_test) as tests,
      array_agg(through_backlog) as through_backlogs, array_agg(moving) as movings,
      -- An element takes two bytes or more, so most need not be counted.
      sum(filter_cost) * length / 2 > max_filters_cost
        and sum(filter_cost) * posthorn.json_elements(substring(bodies from start + 1 for length))
          > max_filters_cost as too_costly
    from candidates
    where filter_test is not null
    group by id, place, length, start, data_start, event_type
  ), refused as materialized (
    select coalesce(array_agg(id), '{}') as webhooks from filtering where too_costly
  ), payloads as (
    insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body, channels, ordering_key)
    select id, tenant, event_type, content_type, substring(bodies from start + 1 for length), channels, ordering_key
    from live
    where id <> all ((select webhooks from refused)::uuid[])
  ), wanted as materialized (
    select id, subscription_id, length, place, through_backlog, moving
    from live where subscription_id is not null
    union all
    select id, subscription_id, length, place, through_backlog, moving
    from candidates
    where filter_test is null and id <> all ((select webhooks from refused)::uuid[])
    union all
    select f.id, s.subscription_id, f.length, f.place, s.through_backlog, s.moving
    from filtering f
    cross join lateral (
      select case
        when f.data_start is null then
          posthorn.data_of(substring(bodies from f.start + 1 for f.length), f.event_type)
        else posthorn.try_jsonb(substring(bodies from f.start + f.data_start + 1
          for f.length - f.data_start - case f.data_start when 0 then 0 else 1 end))
      end as data
      offset 0
    ) as d
    cross join lateral unnest(f.subscription_ids, f.tests, f.through_backlogs, f.movings)
      as s (subscription_id, test, through_backlog, moving)
    where not f.too_costly and jsonb_path_exists(d.data, s.test, '{}', true)
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id, state, queued)
    select id, subscription_id,
      case when through_backlog then 'held' else 'pending' end::posthorn.delivery_state,
      not through_backlog
    from wanted
  ), wake_ups as (
    select json_build_object(
        'attempt', 1,
        'bytes', sum(length),
        'webhooks', json_agg(id order by place),
        'subscriptions', json_agg(subscription_id order by place)
      ) as payload
    from (
      select *, (row_number() over (order by place) - 1)
        / least(25, greatest(1, count(*) over () / 3)) as job
      from wanted
      where not through_backlog
    ) as numbered
    group by job
  ), counted as (
    select place, count(*) as number from wanted group by place
  )
  select
    array_agg(live.id order by given.place),
    array_agg(coalesce(counted.number, 0) order by given.place),
    (select array_agg(('deliver', payload, null, null, 32767, null, null, null)::graphile_worker.job_spec)
      from wake_ups),
    (select array_agg(distinct subscription_id) from wanted where through_backlog and moving),
    (select webhooks from refused)
  from given
  left join live using (place)
  left join counted using (place)
  into given_ids, deliveries, jobs, backlogs, costly;
  ids := given_ids;

  if costly <> '{}' then
    if all_or_none then
      raise exception 'a webhook is too large for as many filters as its subscriptions have'
        using errcode = 'program_limit_exceeded',
          detail = 'Steps of filters times elements of data may be 4 Mi.',
          hint = 'Send less data, or have fewer or shorter filters: docs/filters.md.';
    end if;
    select
      array_agg(case when id = any (costly) then 'filters_cost' else outcome end order by place),
      array_agg(case when id <> all (costly) then id end order by place)
    from unnest(given_ids, outcomes) with ordinality as u (id, outcome, place)
    into outcomes, ids;
  end if;

  if idempotency_keys is not null then
    perform posthorn.keep_keys(tenants, idempotency_keys, fingerprints, outcomes, ids, accept.deliveries);
    select
      array_agg(case outcome when 'replayed' then earlier_id else id end order by place),
      array_agg(case outcome when 'replayed' then earlier_number else number end order by place)
    from unnest(ids, accept.deliveries, outcomes, earlier_ids, earlier_deliveries)
      with ordinality as u (id, number, outcome, earlier_id, earlier_number, place)
    into ids, deliveries;
  end if;

  if jobs is not null then
    perform posthorn.add_deliver_jobs(jobs, (select sum(d) from unnest(deliveries) as d)::integer);
  end if;
  if backlogs is not null then
    -- A notification holds 8,000 bytes; and each waits for the same lock of all of Postgres at commit.
    perform pg_notify('posthorn_backlogs', string_agg(id::text, ','))
    from unnest(backlogs) with ordinality as b (id, place)
    group by place / 500;
  end if;
end
$$;
