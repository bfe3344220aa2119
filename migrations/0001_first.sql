-- 0001: subscriptions, the three history tables, and the functions that intake stands on.
--
-- Why it looks like this:
-- * `deliveries` says what is owed; a graphile-worker job is only a wake-up. A lost, doubled or
--   stuck job can therefore never lose a webhook.
-- * The history tables are partitioned by day on webhook_id (UUIDv7, so time-ordered). All three
--   share their bounds: a day's webhooks, their deliveries and their attempts are dropped together,
--   and retention is a DROP TABLE instead of a DELETE.
-- * There are no foreign keys between the history tables. One function writes them together, and a
--   key check per row would cost a lock and an index probe on the hottest path there is.
-- Locks: only new objects; nothing that exists is touched.

create type posthorn.delivery_state as enum ('pending', 'held', 'succeeded', 'failed', 'cancelled');
create type posthorn.attempt_status as enum ('success', 'failed', 'timeout', 'blocked');

-- UUIDv7 (RFC 9562 section 5.7) ------------------------------------------------------------------

do $$
begin
  if current_setting('server_version_num')::integer >= 180000 then
    create function posthorn.uuidv7() returns uuid
      language sql volatile parallel safe
      return pg_catalog.uuidv7();
  else
    -- 48 bits of milliseconds, the version, 12 bits of the millisecond's fraction (method 3 of
    -- section 6.2, so that ids of one backend ascend), then the variant and 62 random bits taken
    -- from the second half of a version 4 UUID.
    create function posthorn.uuidv7() returns uuid
      language sql volatile parallel safe
      begin atomic
        select (
          lpad(to_hex(micros / 1000), 12, '0')
          || '7' || lpad(to_hex((micros % 1000) * 4096 / 1000), 3, '0')
          || substr(replace(gen_random_uuid()::text, '-', ''), 17)
        )::uuid
        from (select floor(extract(epoch from clock_timestamp()) * 1000000)::bigint as micros) as clock;
      end;
  end if;
end
$$;
comment on function posthorn.uuidv7() is
  'A new UUIDv7: pg_catalog.uuidv7() on Postgres 18, our own before it.';

-- Times that 48 bits do not hold become the nearest that they do.
create function posthorn.uuidv7_floor(at timestamptz) returns uuid
  language sql immutable strict parallel safe
  return (
    lpad(to_hex(
      least(greatest(floor(extract(epoch from at) * 1000), 0), 281474976710655)::bigint
    ), 12, '0') || repeat('0', 20)
  )::uuid;
comment on function posthorn.uuidv7_floor(timestamptz) is
  'The smallest UUID of that millisecond: the bound for ranges of UUIDv7 ids by time. Before 1970 it is the smallest of all.';

create function posthorn.uuidv7_time(id uuid) returns timestamptz
  language sql immutable strict parallel safe
  return to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0);
comment on function posthorn.uuidv7_time(uuid) is 'The moment in a UUIDv7, to the millisecond.';

-- Tables -----------------------------------------------------------------------------------------

create table posthorn.subscriptions (
  id integer generated always as identity primary key,
  tenant text not null default 'default',
  url text not null check (url ~ '^https?://'),
  secret text check (secret <> ''),
  -- Of the webhooks that are sent to whoever wants them: exact types, `order.*`, or `*`. Null is all
  -- of them; an empty array is none, only what is handed in for this subscription alone.
  event_types text[],
  description text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- History keeps naming a subscription that was deleted, so its row stays, without its secret.
  deleted_at timestamptz,
  constraint subscriptions_deleted_keeps_no_secret check (deleted_at is null or secret is null)
);
comment on table posthorn.subscriptions is 'A URL that wants webhooks.';
-- Whom a webhook of a tenant goes to.
create index subscriptions_of_tenant on posthorn.subscriptions (tenant) where deleted_at is null;

create table posthorn.webhook_payloads (
  id uuid not null default posthorn.uuidv7() primary key,
  accepted_at timestamptz not null default now(),
  tenant text not null default 'default',
  event_type text,
  content_type text not null,
  -- Byte for byte as received, because signatures cover bytes. The view `webhooks` has it as jsonb.
  body bytea not null
) partition by range (id);
comment on table posthorn.webhook_payloads is 'An accepted webhook. Its id is the webhook_id.';

create table posthorn.deliveries (
  webhook_id uuid not null,
  -- When the next attempt is due, by the database's clock; null once the delivery has ended.
  next_attempt_at timestamptz default now(),
  ended_at timestamptz,
  subscription_id integer not null,
  state posthorn.delivery_state not null default 'pending',
  attempt_count smallint not null default 0,
  -- Whether the queue has a job for it. A retry that is far off gets its job when it is near: the
  -- queue is fetched from thousands of times a minute, and Postgres before 18 would read all that
  -- waits in it each time.
  queued boolean not null default true,
  primary key (webhook_id, subscription_id)
) partition by range (webhook_id);
comment on table posthorn.deliveries is 'A webhook owed to a subscription: the truth about what is owed.';

-- Lists of one subscription, newest first.
create index deliveries_by_subscription on posthorn.deliveries (subscription_id, webhook_id);
-- What is owed: queue depth, the oldest that is due, cancelling a subscription's deliveries, and
-- whether a day may be dropped. It holds only the owed rows, so it stays small beside the history.
create index deliveries_owed on posthorn.deliveries (next_attempt_at, subscription_id)
  where state in ('pending', 'held');
-- Retries that are too far off for the queue, by when they are due.
create index deliveries_unqueued on posthorn.deliveries (next_attempt_at)
  where state = 'pending' and not queued;

-- What is held, in the order in which it will be sent.
create index deliveries_held on posthorn.deliveries (subscription_id, webhook_id)
  where state = 'held';

-- What failed for good or was cancelled, for the people who ask. Costs nothing while deliveries succeed.
create index deliveries_unsuccessful on posthorn.deliveries (webhook_id, subscription_id)
  where state in ('failed', 'cancelled');

create sequence posthorn.delivery_attempts_id_seq;
create table posthorn.delivery_attempts (
  id bigint not null default nextval('posthorn.delivery_attempts_id_seq'),
  -- When the attempt ended, by the database's clock.
  at timestamptz not null default clock_timestamp(),
  webhook_id uuid not null,
  subscription_id integer not null,
  duration_ms integer not null,
  -- Null for the extra attempt of a worker that had lost its claim: the request was made, but the
  -- delivery had been decided or taken over by then.
  attempt_number smallint,
  response_code smallint,
  status posthorn.attempt_status not null,
  -- A precise word for programs (`timeout_connect`, `http_status`) and a sentence for people.
  error_code text,
  error text,
  -- The first KiB of the answer.
  response_excerpt text,
  unique (webhook_id, subscription_id, attempt_number)
) partition by range (webhook_id);
alter sequence posthorn.delivery_attempts_id_seq owned by posthorn.delivery_attempts.id;
comment on table posthorn.delivery_attempts is 'One HTTP request of a delivery.';

create index delivery_attempts_by_time on posthorn.delivery_attempts (at);
create index delivery_attempts_by_subscription on posthorn.delivery_attempts (subscription_id, at);
-- Failures are what people search for, and cost nothing here while receivers are well.
create index delivery_attempts_unsuccessful on posthorn.delivery_attempts (at)
  where status <> 'success';

-- Worker processes that are alive: each holds the advisory lock (1347637332, id) on its own
-- session, so that its end is seen at once, however it ended. See src/maintenance/presence.ts.
create table posthorn.workers (
  id integer generated by default as identity primary key,
  -- graphile-worker's name for the pool that locks jobs.
  pool_id text not null unique,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  -- When it last said that it is alive. It does every five seconds.
  seen_at timestamptz not null default clock_timestamp()
);

-- Subscriptions with held deliveries, and who sends them: see src/backlog/backlogs.ts.
create table posthorn.backlogs (
  subscription_id integer primary key,
  -- When deliveries were last held. Whoever deletes the row must have seen the latest.
  added_at timestamptz not null default clock_timestamp(),
  -- The pool_id of a worker; one that is not among the workers any more is nobody.
  owner text,
  owned_at timestamptz
);
comment on table posthorn.backlogs is 'Subscriptions with held deliveries, and which worker sends them.';

-- A subscription that changes is dropped from every process's cache.
create function posthorn.notify_subscription_changed() returns trigger
  language plpgsql as $$
begin
  perform pg_notify('posthorn_subscriptions', coalesce(new.id, old.id)::text);
  return null;
end
$$;
create trigger notify_changed after insert or update or delete on posthorn.subscriptions
  for each row execute function posthorn.notify_subscription_changed();

-- Partitions -------------------------------------------------------------------------------------

create function posthorn.ensure_partitions(first_day date, last_day date) returns integer
  language plpgsql as $$
declare
  history constant text[] := array['webhook_payloads', 'deliveries', 'delivery_attempts'];
  parent text;
  child text;
  day date := first_day;
  made integer := 0;
begin
  while day <= last_day loop
    if to_regclass(format('posthorn.%I', 'delivery_attempts_' || to_char(day, 'YYYYMMDD'))) is null then
      perform pg_advisory_xact_lock(1347637332, 0);
      foreach parent in array history loop
        child := parent || '_' || to_char(day, 'YYYYMMDD');
        if to_regclass(format('posthorn.%I', child)) is null then
          -- CREATE TABLE … PARTITION OF would lock the parent against every insert; ATTACH locks it
          -- against other changes of its shape only.
          execute format(
            'create table posthorn.%I (like posthorn.%I including defaults including constraints including storage)',
            child, parent);
          execute format(
            'alter table posthorn.%I attach partition posthorn.%I for values from (%L) to (%L)',
            parent, child,
            posthorn.uuidv7_floor(day::timestamp at time zone 'UTC'),
            posthorn.uuidv7_floor((day + 1)::timestamp at time zone 'UTC'));
          made := made + 1;
        end if;
      end loop;
    end if;
    day := day + 1;
  end loop;
  return made;
end
$$;
comment on function posthorn.ensure_partitions(date, date) is
  'Makes the partitions of these days (UTC) that are missing. Returns how many tables it made.';

create function posthorn.droppable_days(keep interval)
  returns table (day date, owed boolean) language plpgsql as $$
declare
  child record;
begin
  for child in
    select to_date(right(c.relname, 8), 'YYYYMMDD') as day, c.relname as name
    from pg_catalog.pg_inherits i
    join pg_catalog.pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'posthorn.deliveries'::regclass
    order by 1
  loop
    -- A day is past its retention when its last webhook is.
    continue when (child.day + 1)::timestamp at time zone 'UTC' > now() - keep;
    day := child.day;
    execute format('select exists (select from posthorn.%I where state in (''pending'', ''held''))', child.name)
      into owed;
    return next;
  end loop;
end
$$;
comment on function posthorn.droppable_days(interval) is
  'The days (UTC) wholly older than the retention, and whether a delivery of theirs is still owed.';

create function posthorn.drop_day(dropped date) returns boolean language plpgsql as $$
declare
  suffix constant text := to_char(dropped, 'YYYYMMDD');
  owed boolean;
begin
  -- DROP locks the parents for a moment. Waiting for that lock would make every insert wait behind
  -- it, so it is given up after a fifth of a second; the keeper comes back in an hour.
  perform set_config('lock_timeout', '200ms', true);
  execute format('lock table posthorn.%I in access exclusive mode', 'deliveries_' || suffix);
  execute format('select exists (select from posthorn.%I where state in (''pending'', ''held''))',
    'deliveries_' || suffix) into owed;
  if owed then
    return false;
  end if;
  execute format('drop table posthorn.%I, posthorn.%I, posthorn.%I',
    'webhook_payloads_' || suffix, 'deliveries_' || suffix, 'delivery_attempts_' || suffix);
  return true;
end
$$;
comment on function posthorn.drop_day(date) is
  'Drops a day of history, unless a delivery of it is still owed. Returns whether it did.';

-- Intake -----------------------------------------------------------------------------------------

create function posthorn.event_type_patterns(event_type text) returns text[]
  language sql immutable parallel safe
  return (
    select array_agg(pattern)
    from (
      select coalesce(event_type, '*') as pattern
      union all select '*'
      union all
      select array_to_string((string_to_array(event_type, '.'))[:parts], '.') || '.*'
      from generate_series(1, cardinality(string_to_array(event_type, '.')) - 1) as parts
    ) as patterns
  );
comment on function posthorn.event_type_patterns(text) is
  'What a subscription may list to get that type: order.created, order.* and *.';

-- The bodies come as one bytea and are cut apart here: an array of bytea would be sent as text, at
-- twice the size and with every byte escaped. Jobs name up to 25 deliveries each, since a job is
-- only a wake-up: the queue's own cost, three row writes and two index entries, is shared by them.
create function posthorn.accept(
  bodies bytea,
  starts integer[],
  lengths integer[],
  content_types text[],
  -- To this subscription alone; null: to all of the tenant that want the event type.
  subscription_ids integer[],
  tenants text[],
  event_types text[],
  out ids uuid[],
  out deliveries integer[]
) language plpgsql as $$
declare
  today constant date := (clock_timestamp() at time zone 'UTC')::date;
  jobs graphile_worker.job_spec[];
begin
  -- Ids made while midnight passes belong to tomorrow.
  perform posthorn.ensure_partitions(today, ((clock_timestamp() + interval '1 minute') at time zone 'UTC')::date);

  with given as materialized (
    select posthorn.uuidv7() as id, g.*
    from unnest(starts, lengths, content_types, subscription_ids, tenants, event_types)
      with ordinality as g (start, length, content_type, subscription_id, tenant, event_type, place)
  ), live as materialized (
    select g.id, g.start, g.length, g.content_type, g.subscription_id, g.event_type, g.place,
      coalesce(s.tenant, g.tenant) as tenant
    from given g
    left join posthorn.subscriptions s on s.id = g.subscription_id and s.deleted_at is null
    where g.subscription_id is null or s.id is not null
  ), payloads as (
    insert into posthorn.webhook_payloads (id, tenant, event_type, content_type, body)
    select id, tenant, event_type, content_type, substring(bodies from start + 1 for length) from live
  ), wanted as materialized (
    select id, subscription_id, length, place from live where subscription_id is not null
    union all
    select live.id, s.id, live.length, live.place
    from (
      select *, posthorn.event_type_patterns(event_type) as patterns
      from live
      where subscription_id is null
      offset 0
    ) as live
    join posthorn.subscriptions s on s.tenant = live.tenant and s.deleted_at is null
      and (s.event_types is null or s.event_types && live.patterns)
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id)
    select id, subscription_id from wanted
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
    ) as numbered
    group by job
  ), counted as (
    select place, count(*) as number from wanted group by place
  )
  select
    array_agg(live.id order by given.place),
    array_agg(coalesce(counted.number, 0) order by given.place),
    (select array_agg(('deliver', payload, null, null, 32767, null, null, null)::graphile_worker.job_spec)
      from wake_ups)
  from given
  left join live using (place)
  left join counted using (place)
  into ids, deliveries, jobs;

  if jobs is not null then
    perform graphile_worker.add_jobs(jobs);
  end if;
end
$$;
comment on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[]) is
  'Stores webhooks, what is owed for them and the jobs that wake the workers. Returns their ids in the order given, null where the subscription does not exist, and how many deliveries each has.';
revoke execute on function posthorn.accept(bytea, integer[], integer[], text[], integer[], text[], text[]) from public;
