-- What a receiver gets that pulls: the oldest held deliveries of a subscription without a URL that are due, each with a
-- lease. Deliveries stay as they are, and a row in `leases` says that they were handed out. Acknowledging them
-- (deliveries/leases.sql.ts) records attempts as for other subscriptions.
--
-- The row in `backlogs` is locked, so calls for a subscription come one after another. So its order, its rate and its
-- number of deliveries in flight hold across all processes.
--
-- Its plans are kept, so it reads views of the days that matter (write_live_views). *Measured* with 1,009 partitions: on the
-- tables, a pull that found ten took 30 ms of CPU and 11,000 locks.
create or replace function posthorn.lease_deliveries(
  subscription integer,
  most integer,
  -- The bodies together are no larger, unless the first alone is.
  max_bytes bigint,
  lease_ms integer,
  out webhooks uuid[],
  -- Of the nth webhook: the attempts before this one, the token of its lease, and its event type.
  out attempts smallint[],
  out tokens integer[],
  out event_types text[],
  out leased_until timestamptz,
  -- The time until there may be more to get, if time alone can change it; null otherwise.
  out again_ms double precision
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- Without max_in_flight, so many may be handed out and not acknowledged.
  max_leases constant integer := 1000;
  -- With strict order, so many of the oldest deliveries are looked at. The keys of 20,000 take a tenth of a second; nearly
  -- always the first thousand are enough.
  windows constant integer[] := '{1000,20000}';
  backlog posthorn.backlogs;
  s posthorn.subscriptions;
  moment timestamptz;
  room integer;
  size integer;
  examined integer;
  due_at timestamptz;
  -- Of the rate limit: seconds between requests, how many may begin at once, and the seconds by which those so far
  -- are ahead of it.
  interval_s double precision;
  burst integer;
  ahead_s double precision;
begin
  -- A trigger (ensure_backlog) has added it.
  select * from posthorn.backlogs b where b.subscription_id = subscription for no key update into backlog;
  moment := clock_timestamp();
  select * from posthorn.subscriptions t where t.id = subscription and t.deleted_at is null into s;
  if s.id is null or s.url is not null then
    return;
  end if;
  if backlog.pulled_at is null or backlog.pulled_at < moment - interval '10 seconds' then
    update posthorn.backlogs b set pulled_at = moment where b.subscription_id = subscription;
    -- Workers look for leases that have ended (src/pull/overdue-leases.ts) only while somebody pulls.
    perform pg_notify('posthorn_pulled', '');
  end if;
  if s.status <> 'active' then
    return;
  end if;

  room := least(most, coalesce(s.max_in_flight, max_leases)
    - (select count(*) from posthorn.leases l where l.subscription_id = subscription)::integer);
  if s.rate_limit is not null then
    -- The generic cell rate algorithm, as in src/backlog/rate-limit.ts: a tenth of the limit may begin at once.
    interval_s := s.rate_limit_per_ms / 1000.0 / s.rate_limit;
    burst := greatest(1, s.rate_limit / 10);
    ahead_s := case when backlog.rate_due_at is null then (burst - 1) * interval_s
      else greatest(0, extract(epoch from backlog.rate_due_at - moment)) end;
    room := least(room, greatest(0, floor(((burst - 1) * interval_s - ahead_s) / interval_s + 1e-6)::integer + 1));
    if ahead_s > (burst - 1) * interval_s then
      again_ms := ceil((ahead_s - (burst - 1) * interval_s) * 1000);
    end if;
  end if;
  if room <= 0 then
    return;
  end if;

  if s.ordering = 'none' then
    select array_agg(o.webhook_id order by o.webhook_id), array_agg(o.attempt_count order by o.webhook_id)
    from (
      (select d.webhook_id, d.attempt_count
       from posthorn.pullable_deliveries d
       where d.subscription_id = subscription and d.state = 'held' and d.next_attempt_at <= moment
         and not exists (
           select from posthorn.leases l where l.subscription_id = subscription and l.webhook_id = d.webhook_id)
       order by d.webhook_id
       limit room)
      union
      select d.webhook_id, d.attempt_count
      from posthorn.held_of_woken_days(subscription) d
      where d.next_attempt_at <= moment
        and not exists (
          select from posthorn.leases l where l.subscription_id = subscription and l.webhook_id = d.webhook_id)
      order by webhook_id
      limit room
    ) as o
    into webhooks, attempts;
  else
    -- The first delivery of each ordering key, if it is due and not handed out.
    foreach size in array windows loop
      with woken as materialized (
        select * from posthorn.held_of_woken_days(subscription)
      ), oldest as materialized (
        (select d.webhook_id, d.attempt_count, d.next_attempt_at
         from posthorn.pullable_deliveries d
         where d.subscription_id = subscription and d.state = 'held'
         order by d.webhook_id
         limit size)
        union
        select d.webhook_id, d.attempt_count, d.next_attempt_at from woken d
        order by webhook_id
        limit size
      ), keyed as (
        select o.*, coalesce(p.ordering_key, w.ordering_key) as ordering_key
        from oldest o
        left join posthorn.pullable_payloads p on p.id = o.webhook_id
        left join woken w on w.webhook_id = o.webhook_id
      ), firsts as materialized (
        select distinct on (k.ordering_key) k.*, k.next_attempt_at <= moment and not exists (
          select from posthorn.leases l where l.subscription_id = subscription and l.webhook_id = k.webhook_id) as free
        from keyed k
        order by k.ordering_key, k.webhook_id
      )
      select (array_agg(webhook_id order by webhook_id) filter (where free))[:room],
        (array_agg(attempt_count order by webhook_id) filter (where free))[:room],
        min(next_attempt_at) filter (where next_attempt_at > moment),
        (select count(*) from oldest)
      from firsts
      into webhooks, attempts, due_at, examined;
      exit when examined < size or coalesce(cardinality(webhooks), 0) = room;
    end loop;
    again_ms := ceil(extract(epoch from due_at - moment) * 1000);
  end if;
  if webhooks is null then
    return;
  end if;

  select array_agg(u.webhook_id order by u.place), array_agg(u.attempt order by u.place),
    array_agg((random() * 2147483647)::integer), array_agg(u.event_type order by u.place)
  from (
    select w.webhook_id, w.attempt, w.place, coalesce(p.event_type, h.event_type) as event_type,
      sum(coalesce(length(p.body), h.body_length)::bigint) over (order by w.place) as bytes_so_far
    from unnest(webhooks, attempts) with ordinality as w (webhook_id, attempt, place)
    left join posthorn.pullable_payloads p on p.id = w.webhook_id
    left join posthorn.held_of_woken_days(subscription) h on h.webhook_id = w.webhook_id
  ) as u
  where u.place = 1 or coalesce(u.bytes_so_far, 0) <= max_bytes
  into webhooks, attempts, tokens, event_types;
  perform posthorn.require_open_subscriptions(array[subscription]);
  leased_until := moment + lease_ms * interval '1 millisecond';
  insert into posthorn.leases (subscription_id, webhook_id, attempt_number, token, leased_at, ends_at)
  select subscription, w.webhook_id, w.attempt + 1, w.token, moment, leased_until
  from unnest(webhooks, attempts, tokens) as w (webhook_id, attempt, token);
  if s.rate_limit is not null then
    update posthorn.backlogs b
    set rate_due_at = moment + (ahead_s + cardinality(webhooks) * interval_s) * interval '1 second'
    where b.subscription_id = subscription;
  end if;
end
$$;
comment on function posthorn.lease_deliveries is
  'Hands out the oldest held deliveries of a subscription without a URL, each with a lease.';
revoke execute on function posthorn.lease_deliveries from public;
