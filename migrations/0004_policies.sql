-- 0004: what a subscription may say of how it is delivered to, and the way past the queue.
--
-- A subscription whose deliveries have to wait for something (it is paused or disabled, its circuit
-- is open, or it has a rate, an order or a number of requests to keep) gets them `held` from the
-- start: they never see the queue, and the one owner of its backlog sends them (backlog/backlogs.ts).
-- Its row in `backlogs` is there for as long as that is so. Intake does not write to it: a
-- transaction of an application that sends and stays open would stop all that is sent to the same
-- subscription.
--
-- Locks: columns without a default or with a constant one, so no table is rewritten. The history
-- tables are locked for a moment. Processes of the version before go on: the function that they
-- call stays (0009 makes it know of all this), and all that they do not name has a default.

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

-- Types that Posthorn itself sends go to those alone that ask for them by name. A loop takes two
-- microseconds for each webhook; the query that it was took sixty.
create or replace function posthorn.event_type_patterns(event_type text) returns text[]
  language plpgsql immutable parallel safe as $$
declare
  patterns text[] := case
    when event_type is null then '{*}'
    when event_type like 'posthorn.%' then array[event_type]
    else array[event_type, '*']
  end;
  rest text := event_type;
  place integer := 0;
  dot integer;
begin
  loop
    dot := strpos(rest, '.');
    exit when dot is null or dot = 0;
    place := place + dot;
    rest := substr(rest, dot + 1);
    patterns := patterns || (left(event_type, place) || '*');
  end loop;
  return patterns;
end
$$;
