create or replace function posthorn.report_failure(
  id integer,
  -- The number of failures since the last report, and how long ago the first failure after the last success began.
  failures integer,
  since_ms double precision,
  -- How many of these at the end, in a row, count towards opening the circuit, and how long ago the first failure of
  -- that row began, reported ones included. True: the reporting process alone has seen enough of them.
  down integer,
  down_ms double precision,
  open boolean,
  -- The time for which the receiver asked not to be called (Retry-After), or null.
  pause_ms double precision,
  probe boolean,
  gone boolean,
  error_code text,
  error text,
  -- The failures in a row, of all processes, that open the circuit, and the least time over which (null: never).
  open_failures integer,
  open_over_ms double precision,
  -- The times until the first probe, between two probes at most, and until the subscription is disabled (null: never).
  first_probe_ms integer,
  max_probe_ms integer,
  disable_after_ms double precision,
  out opened boolean,
  out disabled boolean
)
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  circuit posthorn.circuits;
  was_open boolean;
  opens boolean;
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
    circuit.down := 0;
    insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at)
    values (id, circuit.failing_since, 0, now());
  end if;
  was_open := circuit.opened_at is not null;
  circuit.failures := circuit.failures + failures;
  circuit.last_failed_at := now();
  circuit.last_error_code := error_code;
  circuit.last_error := error;

  -- The receiver has answered since the last report: the row begins again.
  if down < failures then
    circuit.down := 0;
    circuit.down_since := null;
  end if;
  circuit.down := circuit.down + down;
  if down > 0 then
    circuit.down_since := least(circuit.down_since, now() - down_ms * ms);
  end if;
  opens := open or coalesce(circuit.down >= open_failures and now() - circuit.down_since >= open_over_ms * ms, false);

  if not was_open and (opens or pause_ms is not null) then
    opened := true;
    circuit.opened_at := now();
    circuit.probe_interval_ms := first_probe_ms;
    circuit.probe_at := now();
  elsif was_open and probe then
    circuit.probe_interval_ms := least(circuit.probe_interval_ms * 2, max_probe_ms);
  end if;
  -- Jitter is ±20 %, so that receivers that failed together are not probed together.
  if opened and opens or was_open and probe then
    circuit.probe_at := greatest(circuit.probe_at, now() + circuit.probe_interval_ms * (0.8 + 0.4 * random()) * ms);
  end if;
  if circuit.opened_at is not null and pause_ms is not null then
    circuit.probe_at := greatest(circuit.probe_at, now() + pause_ms * ms);
  end if;
  if opens and circuit.told_at is null then
    circuit.told_at := now();
    perform posthorn.send_subscription_event('failing', id, error, circuit);
  end if;

  update posthorn.circuits c
  set failures = circuit.failures, down = circuit.down, down_since = circuit.down_since, last_failed_at = circuit.last_failed_at,
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
comment on function posthorn.report_failure is
  'Records failed attempts: opens the circuit, schedules the next probe, disables a subscription that has failed for too long, and sends the operational webhooks. It opens a circuit and reports that only once.';
revoke execute on function posthorn.report_failure from public;
