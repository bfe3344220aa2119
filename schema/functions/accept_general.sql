-- The general statement behind posthorn.accept: it sends by event type, applies filters and idempotency keys,
-- holds deliveries from the start, and schedules webhooks. Only posthorn.accept calls it; the parameters are described there.
--
-- The function computes the work of each webhook before it does the work: the deliveries to store, and the
-- steps of the filters times the elements of the data. If a tenant needs more than a tenth of a second of a
-- statement that tenants share, its further webhooks get the outcome `apart`, and intake accepts them in
-- statements for that tenant only.
create or replace function posthorn.accept_general(
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
  apart boolean,
  header_lists text[],
  worker integer,
  room integer,
  deliver_ats timestamptz[],
  out ids uuid[],
  out deliveries integer[],
  out outcomes text[],
  out handed_places integer[],
  out handed_subscriptions integer[]
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- The unit of work is one step of a filter on one element of data: 0.06 to 0.2 µs (*measured*). The limit
  -- for one webhook is half a second of a core if nothing matches.
  max_filter_work constant bigint := 4 * 1024 * 1024;
  max_filter_work_of_all constant bigint := 4 * max_filter_work;
  -- The most subscriptions that match one webhook. *Measured* on a busy machine: 7 s, and a caller waits for 10.
  max_fan_out constant integer := 100000;
  -- For each matching subscription: 20 µs, most of it for storing the delivery.
  work_of_delivery constant bigint := 128;
  -- For one tenant in a statement: a tenth of a second if tenants share the statement, otherwise half a second.
  max_work constant bigint := case when apart then 4 else 1 end * 512 * 1024;
  -- A scheduled delivery that is due within this time gets its job at once: NEAR_MS of src/deliveries/record.sql.ts.
  near constant interval := interval '1 minute';
  -- By the place of the webhook: when it is to be delivered, if that is in the future.
  due_at timestamptz[];
  jobs json[];
  run_ats timestamptz[];
  backlogs integer[];
  refused_ids uuid[];
  refused_outcomes text[];
  filter_work_of_all bigint;
  given_ids uuid[];
  earlier_ids uuid[];
  earlier_deliveries integer[];
begin
  if idempotency_keys is not null then
    select k.outcomes, k.ids, k.deliveries from posthorn.claim_idempotency_keys(tenants, idempotency_keys, fingerprints) k
      into outcomes, earlier_ids, earlier_deliveries;
  end if;

  if deliver_ats is not null then
    due_at := array(
      select case when at > clock_timestamp() then at end from unnest(deliver_ats) with ordinality as d (at, place) order by place);
  end if;

  with given as materialized (
    select posthorn.uuidv7() as id, g.*
    from unnest(starts, lengths, content_types, subscription_ids, tenants, event_types, channel_lists,
        ordering_keys, data_starts, outcomes, header_lists)
      with ordinality as g (
        start, length, content_type, subscription_id, tenant, event_type, channels, ordering_key,
        data_start, outcome, headers, place)
  ), live as materialized (
    select g.id, g.start, g.length, g.content_type, g.subscription_id, g.event_type,
      g.channels::text[] as channels, g.ordering_key, g.headers::jsonb as headers, g.data_start, g.place,
      coalesce(s.tenant, g.tenant) as tenant,
      -- A scheduled delivery is held when it is due.
      s.through_backlog and due_at[g.place] is null as through_backlog, s.status = 'active' and not s.circuit_open as moving
    from given g
    left join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    where (g.subscription_id is null or s.id is not null) and g.outcome is null
  ), alike as materialized (
    -- Webhooks with the same type, channels and tenant, whose subscriptions are looked up together.
    select tenant, event_type, posthorn.matching_subscriptions(tenant, event_type, channels) as matching,
      array_agg(id) as ids, array_agg(place) as places, array_agg(length) as lengths, array_agg(start) as starts,
      array_agg(data_start) as data_starts
    from live
    where subscription_id is null
    group by tenant, event_type, channels
  ), candidates as materialized (
    select w.id, a.tenant, s.id as subscription_id, w.length, w.place,
      s.through_backlog and due_at[w.place] is null as through_backlog, s.moving,
      w.start, w.data_start, a.event_type, s.filter_test, s.filter_cost
    from alike a
    cross join lateral (
      select id, through_backlog, status = 'active' and not circuit_open as moving, filter_test, filter_cost
      from posthorn.subscriptions
      where id = any (case when cardinality(a.matching) <= max_fan_out then a.matching end)
        and deleted_at is null and status <> 'disabled'
      offset 0
    ) as s
    cross join lateral unnest(a.ids, a.places, a.lengths, a.starts, a.data_starts)
      as w (id, place, length, start, data_start)
  ), worked as materialized (
    -- An element takes at least two bytes, so the elements of a small body need not be counted.
    select id, place, tenant, count(*) * work_of_delivery as delivery_work, length / 8 as reading_work,
      sum(filter_cost) * case when sum(filter_cost) * length / 2 > 4096
        then posthorn.count_json_elements(substring(bodies from start + 1 for length))
        else length / 2 end as filter_work
    from candidates
    group by id, place, tenant, start, length
  ), judged as materialized (
    select id, filter_work,
      case
        when filter_work > max_filter_work then 'filters_cost'
        when all_or_none then null
        -- In a statement for one tenant, the first webhook is accepted at any cost.
        when work_so_far - case when apart then work else 0 end > max_work then 'apart'
      end as outcome
    from (
      select *, sum(work) over (partition by tenant order by place) as work_so_far
      from (
        select *, delivery_work + case when filter_work is null then 0 else reading_work + filter_work end as work
        from worked
      ) as w
    ) as w
    union all
    select unnest(a.ids), null, 'fan_out' from alike a where cardinality(a.matching) > max_fan_out
  ), refused as materialized (
    select coalesce(array_agg(id), '{}') as webhooks, array_agg(outcome) as outcomes
    from judged
    where outcome is not null
  ), filtering as materialized (
    -- A row for each webhook with filters, so that its data is read once for all of them.
    select id, place, length, start, data_start, event_type,
      array_agg(subscription_id) as subscription_ids, array_agg(filter_test) as tests,
      array_agg(through_backlog) as through_backlogs, array_agg(moving) as movings
    from candidates
    where filter_test is not null and id <> all ((select webhooks from refused)::uuid[])
    group by id, place, length, start, data_start, event_type
  ), tested as materialized (
    -- A row for each subscription whose filter matches; without a subscription if jsonb cannot hold the data.
    select f.id, s.subscription_id, f.length, f.place, s.through_backlog, s.moving
    from filtering f
    cross join lateral (
      select case
        when f.data_start is null then
          posthorn.webhook_data(substring(bodies from f.start + 1 for f.length), f.event_type)
        else posthorn.try_jsonb(substring(bodies from f.start + f.data_start + 1
          for f.length - f.data_start - case f.data_start when 0 then 0 else 1 end))
      end as data
      offset 0
    ) as d
    cross join lateral (
      select s.subscription_id, s.through_backlog, s.moving
      from unnest(f.subscription_ids, f.tests, f.through_backlogs, f.movings)
        as s (subscription_id, test, through_backlog, moving)
      where jsonb_path_exists(d.data, s.test, '{}', true)
      union all
      select null, null, null where d.data is null
    ) as s
  ), payloads as (
    insert into posthorn.webhook_payloads (
      id, accepted_at, deliver_at, tenant, event_type, content_type, body, channels, ordering_key, headers, unfilterable)
    select id, posthorn.uuidv7_time(id), due_at[place], tenant, event_type, content_type, substring(bodies from start + 1 for length),
      channels, ordering_key, headers, nullif(id = any ((select array_agg(id) from tested where subscription_id is null)::uuid[]), false)
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
    select id, subscription_id, length, place, through_backlog, moving
    from tested
    where subscription_id is not null
  ), owed_now as materialized (
    select id, subscription_id, length, place, due_at[place] as due,
      due_at[place] is null and row_number() over (order by due_at[place] is not null, place) <= room as handed
    from wanted
    where not through_backlog
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id, handed_to, next_attempt_at, queued)
    select id, subscription_id, case when handed then worker end, coalesce(due, now()),
      due is null or due <= now() + near
    from owed_now
  ), held as (
    insert into posthorn.deliveries (webhook_id, subscription_id, state, queued)
    select id, subscription_id, 'held', false from wanted where through_backlog
  ), wake_ups as materialized (
    select posthorn.deliver_job(1, sum(length), array_agg(id order by place),
        array_agg(subscription_id order by place)) as payload, due
    from (
      select *, (row_number() over (partition by due order by place) - 1)
        / least(25, greatest(1, count(*) over (partition by due) / 3)) as job
      from owed_now
      where not handed and (due is null or due <= now() + near)
    ) as numbered
    group by due, job
  ), counted as (
    select place, count(*) as number from wanted group by place
  )
  select
    array_agg(live.id order by given.place),
    array_agg(coalesce(counted.number, 0) order by given.place),
    (select array_agg(payload) from wake_ups),
    (select case when count(due) > 0 then array_agg(due) end from wake_ups),
    (select array_agg(distinct subscription_id) from wanted where through_backlog and moving),
    (select webhooks from refused),
    (select refused.outcomes from refused),
    (select sum(filter_work) from judged),
    (select array_agg(place order by place, subscription_id) from owed_now where handed),
    (select array_agg(subscription_id order by place, subscription_id) from owed_now where handed)
  from given
  left join live using (place)
  left join counted using (place)
  into given_ids, deliveries, jobs, run_ats, backlogs, refused_ids, refused_outcomes, filter_work_of_all,
    handed_places, handed_subscriptions;
  ids := given_ids;

  if all_or_none and 'fan_out' = any (refused_outcomes) then
    raise exception 'more than % subscriptions match a webhook', max_fan_out
      using errcode = 'program_limit_exceeded', constraint = 'fan_out',
        detail = 'They are counted before their filters, and once for each of their event types and channels that match. Nothing was sent.',
        hint = 'Give the subscriptions different channels or event types, and send one webhook for each of these.';
  end if;
  if all_or_none and (refused_ids <> '{}' or filter_work_of_all > max_filter_work_of_all) then
    raise exception 'the filters of the subscriptions for these webhooks would take too long'
      using errcode = 'program_limit_exceeded',
        detail = 'The steps of the filters times the elements of the data may be at most 4 Mi for one webhook, and 16 Mi for all webhooks that are sent together.',
        hint = 'Send smaller data or fewer webhooks at once, or use fewer or shorter filters (docs/filters.md).';
  end if;
  if refused_ids <> '{}' then
    select
      array_agg(coalesce(r.outcome, u.outcome) order by place),
      array_agg(case when r.id is null then u.id end order by place)
    from unnest(given_ids, outcomes) with ordinality as u (id, outcome, place)
    left join unnest(refused_ids, refused_outcomes) as r (id, outcome) on r.id = u.id
    into outcomes, ids;
  end if;

  if idempotency_keys is not null then
    perform posthorn.store_idempotency_keys(tenants, idempotency_keys, fingerprints, outcomes, ids, accept_general.deliveries);
    select
      array_agg(case outcome when 'replayed' then earlier_id else id end order by place),
      array_agg(case outcome when 'replayed' then earlier_number else number end order by place)
    from unnest(ids, accept_general.deliveries, outcomes, earlier_ids, earlier_deliveries)
      with ordinality as u (id, number, outcome, earlier_id, earlier_number, place)
    into ids, deliveries;
  end if;

  if jobs is not null then
    perform posthorn.add_deliver_jobs(jobs, (select sum(d) from unnest(deliveries) as d)::integer, run_ats);
  end if;
  if backlogs is not null
    and (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true then
    -- A notification holds at most 8,000 bytes. Each one takes a lock on the whole of Postgres at commit.
    perform pg_notify('posthorn_backlogs', string_agg(id::text, ','))
    from unnest(backlogs) with ordinality as b (id, place)
    group by place / 500;
  end if;
end
$$;
comment on function posthorn.accept_general is
  'The general statement behind posthorn.accept. Call posthorn.accept instead.';
revoke execute on function posthorn.accept_general from public;
