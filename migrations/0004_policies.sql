-- 0004: what a subscription may say of how it is delivered to, and the way past the queue.
--
-- A subscription whose deliveries have to wait for something (it is paused or disabled, its circuit
-- is open, or it has a rate, an order or a number of requests to keep) gets them `held` from the
-- start: they never see the queue, and the one owner of its backlog sends them (delivery/backlog.ts).
-- Its row in `backlogs` is there for as long as that is so. Intake does not write to it: a
-- transaction of an application that sends and stays open would stop all that is sent to the same
-- subscription.
--
-- Locks: columns without a default or with a constant one, so no table is rewritten. The history
-- tables are locked for a moment. Processes of the version before go on: the function that they
-- call stays, and all that they do not name has a default.

create type posthorn.subscription_status as enum ('active', 'paused', 'disabled');
create type posthorn.subscription_ordering as enum ('none', 'strict');

alter table posthorn.subscriptions
  add column status posthorn.subscription_status not null default 'active',
  -- Why it is paused or disabled, in words for people.
  add column status_reason text,
  add column status_changed_at timestamptz,
  -- Null: webhooks of all channels and of none. Otherwise those that have one of these.
  add column channels text[],
  -- Of the data of webhooks that are sent by type.
  add column filter jsonpath,
  add column headers jsonb check (jsonb_typeof(headers) = 'object'),
  add column metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  -- As POSTHORN_RETRY_SCHEDULE is written; null: as that is.
  add column retry_schedule text,
  add column timeout_ms integer check (timeout_ms between 100 and 300000),
  add column max_in_flight integer check (max_in_flight between 1 and 10000),
  add column rate_limit integer check (rate_limit > 0),
  add column rate_limit_per_ms integer check (rate_limit_per_ms > 0),
  add column ordering posthorn.subscription_ordering not null default 'none',
  -- Its receiver has failed so often in a row that only probes are sent.
  add column circuit_open boolean not null default false,
  add column through_backlog boolean not null default false,
  add constraint subscriptions_rate_has_time check ((rate_limit is null) = (rate_limit_per_ms is null));
comment on column posthorn.subscriptions.through_backlog is
  'Whether its deliveries are held from the start and sent by the owner of its backlog. Kept by a trigger.';

alter table posthorn.webhook_payloads
  add column channels text[],
  -- Of the webhooks to a subscription with strict order, those of one key wait for each other; those
  -- without one wait for all that have none.
  add column ordering_key text;

alter table posthorn.deliveries
  -- Why it ended without an attempt that says so: expired, skipped.
  add column reason text;

create function posthorn.set_through_backlog() returns trigger
  language plpgsql as $$
begin
  new.through_backlog := new.status <> 'active' or new.circuit_open or new.ordering <> 'none'
    or new.rate_limit is not null or new.max_in_flight is not null;
  return new;
end
$$;
create trigger set_through_backlog before insert or update on posthorn.subscriptions
  for each row execute function posthorn.set_through_backlog();

create function posthorn.ensure_backlog() returns trigger
  language plpgsql as $$
begin
  insert into posthorn.backlogs (subscription_id) values (new.id) on conflict do nothing;
  return null;
end
$$;
create trigger ensure_backlog after insert or update on posthorn.subscriptions
  for each row when (new.through_backlog and new.deleted_at is null)
  execute function posthorn.ensure_backlog();

-- Types that Posthorn itself sends go to those alone that ask for them by name.
create or replace function posthorn.event_type_patterns(event_type text) returns text[]
  language sql immutable parallel safe
  return (
    select array_agg(pattern)
    from (
      select coalesce(event_type, '*') as pattern
      union all select '*' where event_type is null or event_type not like 'posthorn.%'
      union all
      select array_to_string((string_to_array(event_type, '.'))[:parts], '.') || '.*'
      from generate_series(1, cardinality(string_to_array(event_type, '.')) - 1) as parts
    ) as patterns
  );

create function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- To this subscription alone; null: to all of the tenant that want the event type.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  -- Each the text of a text[], since the arrays of one parameter have one length; or null.
  channel_lists text[],
  ordering_keys text[],
  out ids uuid[],
  out deliveries integer[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  jobs graphile_worker.job_spec[];
  backlogs integer[];
begin
  -- Ids made while midnight passes belong to tomorrow.
  perform posthorn.ensure_partitions(today, ((clock_timestamp() + interval '1 minute') at time zone 'UTC')::date);

  with given as materialized (
    select posthorn.uuidv7() as id, g.*
    from unnest(starts, lengths, content_types, subscription_ids, tenants, event_types, channel_lists, ordering_keys)
      with ordinality as g (
        start, length, content_type, subscription_id, tenant, event_type, channels, ordering_key, place)
  ), live as materialized (
    select g.id, g.start, g.length, g.content_type, g.subscription_id, g.event_type,
      g.channels::text[] as channels, g.ordering_key, g.place,
      coalesce(s.tenant, g.tenant) as tenant,
      s.through_backlog, s.status = 'active' and not s.circuit_open as moving
    from given g
    left join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    where g.subscription_id is null or s.id is not null
  ), payloads as (
    insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body, channels, ordering_key)
    select id, tenant, event_type, content_type, substring(bodies from start + 1 for length), channels, ordering_key
    from live
  ), wanted as materialized (
    select id, subscription_id, length, place, through_backlog, moving
    from live where subscription_id is not null
    union all
    select live.id, s.id, live.length, live.place,
      s.through_backlog, s.status = 'active' and not s.circuit_open
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
    (select array_agg(distinct subscription_id) from wanted where through_backlog and moving)
  from given
  left join live using (place)
  left join counted using (place)
  into ids, deliveries, jobs, backlogs;

  if jobs is not null then
    perform graphile_worker.add_jobs(jobs);
  end if;
  if backlogs is not null then
    perform pg_notify('posthorn_backlogs', id::text) from unnest(backlogs) as id;
  end if;
end
$$;
comment on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[]) is
  'Stores webhooks, what is owed for them and the jobs that wake the workers. Returns their ids in the order given, null where the subscription does not exist, and how many deliveries each has.';
revoke execute on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[], text[], text[]) from public;

-- What processes of the version before call while an upgrade goes on, and posthorn.send_many.
create or replace function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  out ids uuid[],
  out deliveries integer[]
) language sql as $$
  select * from posthorn.accept(bodies, starts, lengths, content_types, subscription_ids, tenants, event_types,
    array_fill(null::text, array[cardinality(starts)]), array_fill(null::text, array[cardinality(starts)]))
$$;
