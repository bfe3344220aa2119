-- 0006: what is known of a receiver that fails.
--
-- A row of `circuits` appears when a subscription's attempts have failed several times in a row, and is
-- gone with the first success: while receivers are well, nothing is written here. As long as
-- `opened_at` is set its circuit is open: all that is owed to it is held, and one delivery at a time,
-- the oldest, is sent as a probe (health/circuits.ts). `subscriptions.circuit_open` follows this
-- table by a trigger, so that neither can be without the other.
--
-- Whoever writes to `circuits` locks the subscription's row first: so does everything that starts at
-- `subscriptions`, and the two never wait for each other.
--
-- Locks: columns without a default or with a constant one, so no table is rewritten; `subscriptions`
-- is indexed while nobody may change it, which takes milliseconds. Processes of the version before go
-- on: they read none of this, and their attempts of deliveries that had probes come a little early
-- to the end of their schedule, no more.

create table posthorn.circuits (
  subscription_id integer primary key,
  -- When the first of the attempts began that have failed since the last success.
  failing_since timestamptz not null,
  -- So many of them at least: a process tells of them once in a second.
  failures integer not null,
  last_failed_at timestamptz not null,
  last_error_code text,
  last_error text,
  -- Null: closed.
  opened_at timestamptz,
  -- When the next probe may be sent, and how long after a failed one the next: twice as long each time.
  probe_at timestamptz,
  probe_interval_ms integer,
  -- When posthorn.subscription.failing was sent: what has failed and recovers says so.
  told_at timestamptz,
  check ((opened_at is null) = (probe_at is null) and (opened_at is null) = (probe_interval_ms is null))
);
comment on table posthorn.circuits is 'Subscriptions whose attempts fail, and whether only probes are sent to them.';

alter table posthorn.deliveries
  -- Of its attempts, those that were probes and failed: they use up nothing of its schedule.
  add column probe_count smallint not null default 0;

alter table posthorn.subscriptions
  -- Webhooks up to this one are being skipped; then it is active again. See src/subscriptions/enable.ts.
  add column skip_until uuid;
-- The longest time bound of an attempt.
create index subscriptions_by_timeout on posthorn.subscriptions (timeout_ms)
  where timeout_ms is not null and deleted_at is null;
-- Who wants to be told of what Posthorn itself tells: few, among however many.
create index subscriptions_told on posthorn.subscriptions (tenant)
  where deleted_at is null and event_types && array['posthorn.*', 'posthorn.subscription.*',
    'posthorn.subscription.failing', 'posthorn.subscription.recovered', 'posthorn.subscription.disabled'];
create index subscriptions_skipping on posthorn.subscriptions (id) where skip_until is not null;

alter table posthorn.workers
  -- Requests that are open, by subscription, as of `seen_at`.
  add column in_flight jsonb;

create function posthorn.follow_circuit() returns trigger
  language plpgsql as $$
declare
  followed constant integer := coalesce(new.subscription_id, old.subscription_id);
  opened constant boolean := new.opened_at is not null;
begin
  update posthorn.subscriptions set circuit_open = opened where id = followed and circuit_open <> opened;
  if not found then
    -- That it fails, no longer does, or is probed later is news too.
    perform pg_notify('posthorn_subscriptions', followed::text);
  end if;
  return null;
end
$$;
create trigger follow_circuit after insert or delete on posthorn.circuits
  for each row execute function posthorn.follow_circuit();
create trigger follow_circuit_update after update on posthorn.circuits
  for each row when (old.probe_at is distinct from new.probe_at)
  execute function posthorn.follow_circuit();

-- Made active again, at another URL, or gone: what was known of its receiver counts no more.
create function posthorn.forget_circuit() returns trigger
  language plpgsql as $$
begin
  delete from posthorn.circuits where subscription_id = new.id;
  return null;
end
$$;
create trigger forget_circuit after update on posthorn.subscriptions
  for each row when (
    new.status = 'active' and old.status <> 'active'
    or new.url <> old.url
    or new.deleted_at is not null and old.deleted_at is null)
  execute function posthorn.forget_circuit();

-- Operational webhooks -----------------------------------------------------------------------------

create function posthorn.tell(event_type text, data jsonb, tenant text) returns void
  language plpgsql as $$
declare
  body bytea;
begin
  if not exists (
    select from posthorn.subscriptions s
    where s.tenant = tell.tenant and s.deleted_at is null and s.status <> 'disabled'
      -- As the index subscriptions_told has it.
      and s.event_types && array['posthorn.*', 'posthorn.subscription.*',
        'posthorn.subscription.failing', 'posthorn.subscription.recovered', 'posthorn.subscription.disabled']
      and s.event_types && posthorn.event_type_patterns(tell.event_type)
  ) then
    return;
  end if;
  body := convert_to(
    '{"type":' || to_jsonb(event_type)::text
      || ',"timestamp":"' || to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
      || '","data":' || data::text || '}', 'UTF8');
  -- Whatever intake learns, it can be called like this.
  perform posthorn.accept(
    body, array[0], array[octet_length(body)], array['application/json'], array[null::integer],
    array[tenant], array[event_type]);
end
$$;
comment on function posthorn.tell(text, jsonb, text) is
  'Sends a webhook of Posthorn''s own to those of the tenant that list its type. Part of the transaction that calls it.';
revoke execute on function posthorn.tell(text, jsonb, text) from public;

create function posthorn.tell_of_subscription(what text, id integer, reason text, circuit posthorn.circuits) returns void
  language sql as $$
  select posthorn.tell(
    'posthorn.subscription.' || what,
    jsonb_build_object(
      'subscription_id', s.id,
      'url', s.url,
      'status', s.status,
      'reason', reason,
      'failing_since', circuit.failing_since,
      'failures', circuit.failures,
      'last_error_code', circuit.last_error_code,
      'last_error', circuit.last_error),
    s.tenant)
  from posthorn.subscriptions s
  where s.id = tell_of_subscription.id
$$;
revoke execute on function posthorn.tell_of_subscription(text, integer, text, posthorn.circuits) from public;

create function posthorn.disable_subscription(id integer, reason text) returns boolean
  language plpgsql as $$
declare
  circuit posthorn.circuits;
begin
  update posthorn.subscriptions s
  set status = 'disabled', status_reason = reason, status_changed_at = now(), updated_at = now()
  where s.id = disable_subscription.id and s.status <> 'disabled' and s.deleted_at is null;
  if not found then
    return false;
  end if;
  select * from posthorn.circuits c where c.subscription_id = disable_subscription.id into circuit;
  perform posthorn.tell_of_subscription('disabled', id, reason, circuit);
  return true;
end
$$;
comment on function posthorn.disable_subscription(integer, text) is
  'Disables a subscription and tells those who want to know. Returns false when it was disabled already, or is not there.';
revoke execute on function posthorn.disable_subscription(integer, text) from public;

-- What processes report --------------------------------------------------------------------------

create function posthorn.report_failure(
  id integer,
  -- Since the last report, and how long ago the first of them began that no success followed.
  failures integer,
  since_ms double precision,
  -- So many in a row that the circuit is to open.
  open boolean,
  -- For how long the receiver asked not to be called, or null.
  pause_ms double precision,
  probe boolean,
  gone boolean,
  error_code text,
  error text,
  -- Until the first probe, and at most between two; after how long it is disabled, or null.
  first_probe_ms integer,
  max_probe_ms integer,
  disable_after_ms double precision,
  out opened boolean,
  out disabled boolean
) language plpgsql as $$
declare
  circuit posthorn.circuits;
  was_open boolean;
  ms constant interval := interval '1 millisecond';
begin
  opened := false;
  disabled := false;
  perform from posthorn.subscriptions s
    where s.id = report_failure.id and s.deleted_at is null and s.status = 'active'
    for no key update;
  if not found then
    return;
  end if;
  select * from posthorn.circuits c where c.subscription_id = report_failure.id into circuit;
  if circuit.subscription_id is null then
    circuit.subscription_id := id;
    circuit.failing_since := now() - since_ms * ms;
    circuit.failures := 0;
    insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at)
    values (id, circuit.failing_since, 0, now());
  end if;
  was_open := circuit.opened_at is not null;
  circuit.failures := circuit.failures + failures;
  circuit.last_failed_at := now();
  circuit.last_error_code := error_code;
  circuit.last_error := error;

  if not was_open and (open or pause_ms is not null) then
    opened := true;
    circuit.opened_at := now();
    circuit.probe_interval_ms := first_probe_ms;
    circuit.probe_at := now();
  elsif was_open and probe then
    circuit.probe_interval_ms := least(circuit.probe_interval_ms * 2, max_probe_ms);
  end if;
  -- A fifth to either side, so that receivers which failed together are not probed together.
  if opened and open or was_open and probe then
    circuit.probe_at := greatest(circuit.probe_at, now() + circuit.probe_interval_ms * (0.8 + 0.4 * random()) * ms);
  end if;
  if circuit.opened_at is not null and pause_ms is not null then
    circuit.probe_at := greatest(circuit.probe_at, now() + pause_ms * ms);
  end if;
  if open and circuit.told_at is null then
    circuit.told_at := now();
    perform posthorn.tell_of_subscription('failing', id, error, circuit);
  end if;

  update posthorn.circuits c
  set failures = circuit.failures, last_failed_at = circuit.last_failed_at,
      last_error_code = circuit.last_error_code, last_error = circuit.last_error,
      opened_at = circuit.opened_at, probe_at = circuit.probe_at,
      probe_interval_ms = circuit.probe_interval_ms, told_at = circuit.told_at
  where c.subscription_id = report_failure.id;

  if gone then
    disabled := posthorn.disable_subscription(id, 'Its receiver answered 410 Gone: it wants no more webhooks.');
  elsif now() - circuit.failing_since >= disable_after_ms * ms then
    disabled := posthorn.disable_subscription(id, 'Its receiver has failed since '
      || to_char(circuit.failing_since at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
      || ' without one success; the last error was: ' || coalesce(error, 'unknown'));
  end if;
end
$$;
comment on function posthorn.report_failure(
  integer, integer, double precision, boolean, double precision, boolean, boolean, text, text, integer, integer,
  double precision) is
  'Writes down that attempts failed, opens the circuit, puts off the next probe, disables what has failed for too long, and tells of it. A circuit that is open stays open, and only who opens it tells.';
revoke execute on function posthorn.report_failure(
  integer, integer, double precision, boolean, double precision, boolean, boolean, text, text, integer, integer,
  double precision) from public;

create function posthorn.report_success(id integer) returns boolean
  language plpgsql as $$
declare
  circuit posthorn.circuits;
begin
  perform from posthorn.subscriptions s where s.id = report_success.id for no key update;
  delete from posthorn.circuits c where c.subscription_id = report_success.id returning * into circuit;
  if circuit.told_at is not null then
    perform posthorn.tell_of_subscription('recovered', id, 'It takes webhooks again.', circuit);
  end if;
  return circuit.opened_at is not null;
end
$$;
comment on function posthorn.report_success(integer) is
  'An attempt succeeded: what had failed fails no more. Returns whether the circuit was open.';
revoke execute on function posthorn.report_success(integer) from public;

create function posthorn.report_answer(id integer) returns boolean
  language plpgsql as $$
begin
  perform from posthorn.subscriptions s where s.id = report_answer.id for no key update;
  update posthorn.circuits c set opened_at = null, probe_at = null, probe_interval_ms = null
  where c.subscription_id = report_answer.id and c.opened_at is not null;
  return found;
end
$$;
comment on function posthorn.report_answer(integer) is
  'A receiver answered, although with a refusal: it is there. Returns whether the circuit was open.';
revoke execute on function posthorn.report_answer(integer) from public;

-- Health -----------------------------------------------------------------------------------------

-- What is new stands behind what was there. Whoever asks for some columns pays for these alone; of
-- each subscription at most 10,000 held deliveries are counted and 1,000 attempts read, so that a
-- backlog of millions, or a day of them, costs no more.
create or replace view posthorn.subscription_health as
select
  s.id as subscription_id, s.url as subscription_url, s.tenant,
  h.attempts_last_hour, h.success_rate_last_hour, h.p50_ms_last_hour, h.p95_ms_last_hour,
  h.attempts_last_day, h.success_rate_last_day, h.p50_ms_last_day, h.p95_ms_last_day,
  e.at as last_error_at, e.error_code as last_error_code, e.error as last_error,
  s.status, s.status_reason,
  case
    when c.opened_at is null then 'closed'
    when c.probe_at <= now() and s.status = 'active' then 'half_open'
    else 'open'
  end as circuit,
  c.failing_since, c.failures, c.opened_at,
  case when s.status = 'active' then c.probe_at end as next_probe_at,
  least(held.counted, 10000) as held,
  held.counted > 10000 as held_more,
  (
    select posthorn.uuidv7_time(d.webhook_id)
    from posthorn.deliveries d
    where d.subscription_id = s.id and d.state = 'held'
    order by d.webhook_id
    limit 1
  ) as oldest_held_at,
  (
    select coalesce(sum((w.in_flight ->> s.id::text)::integer), 0)::integer
    from posthorn.workers w
    where w.in_flight ? s.id::text
  ) as in_flight,
  r.recent_attempts, r.recent_success_rate, r.attempts_per_second, r.recent_error_at, r.recent_error_code,
  r.recent_error
from posthorn.subscriptions s
left join posthorn.circuits c on c.subscription_id = s.id
left join lateral (
  select
    count(*) filter (where recent) as attempts_last_hour,
    avg((status = 'success')::integer) filter (where recent) as success_rate_last_hour,
    percentile_cont(0.5) within group (order by duration_ms) filter (where recent) as p50_ms_last_hour,
    percentile_cont(0.95) within group (order by duration_ms) filter (where recent) as p95_ms_last_hour,
    count(*) as attempts_last_day,
    avg((status = 'success')::integer) as success_rate_last_day,
    percentile_cont(0.5) within group (order by duration_ms) as p50_ms_last_day,
    percentile_cont(0.95) within group (order by duration_ms) as p95_ms_last_day
  from (
    select a.status, a.duration_ms, a.at > now() - interval '1 hour' as recent
    from posthorn.delivery_attempts a
    where a.subscription_id = s.id and a.at > now() - interval '1 day'
  ) as day
) h on true
left join lateral (
  -- As an aggregate of one row, which Postgres leaves out where nobody asks for it.
  select max(at) as at, max(error_code) as error_code, max(error) as error
  from (
    select a.at, a.error_code, a.error
    from posthorn.delivery_attempts a
    where a.subscription_id = s.id and a.status <> 'success' and a.at > now() - interval '1 day'
    order by a.at desc
    limit 1
  ) as newest
) e on true
left join lateral (
  select count(*)::integer as counted
  from (
    select from posthorn.deliveries d
    where d.subscription_id = s.id and d.state = 'held'
    limit 10001
  ) as counted_up_to
) held on true
left join lateral (
  select
    count(*)::integer as recent_attempts,
    avg((status = 'success')::integer) as recent_success_rate,
    -- Of a minute, or of the time that so many took.
    count(*) filter (where at > now() - interval '1 minute')
      / case when count(*) = 1000
          then greatest(0.001, least(60, extract(epoch from clock_timestamp() - min(at))))
          else 60
        end as attempts_per_second,
    max(at) filter (where status <> 'success') as recent_error_at,
    (array_agg(error_code order by at desc) filter (where status <> 'success'))[1] as recent_error_code,
    (array_agg(error order by at desc) filter (where status <> 'success'))[1] as recent_error
  from (
    select a.at, a.status, a.error_code, a.error
    from posthorn.delivery_attempts a
    where a.subscription_id = s.id
    order by a.at desc
    limit 1000
  ) as newest
) r on true
where s.deleted_at is null;
comment on view posthorn.subscription_health is
  'A row a subscription: whether its receiver does its part, what is held, its attempts of the last hour and the last day, its newest 1,000 attempts (recent_…), and its last errors.';
