create or replace function posthorn.replay(
  subscription_id integer,
  since timestamptz,
  -- Null: now.
  until timestamptz default null,
  states text[] default '{failed,cancelled}',
  -- Types, prefixes such as order.*, or *. Null: all types.
  event_types text[] default null,
  -- Deliveries a second.
  rate integer default 100
) returns uuid
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  tenant constant text := posthorn.require_subscription(subscription_id, posthorn.allowed_tenants('{manage}'));
  until_at constant timestamptz := coalesce(until, clock_timestamp());
  problem text;
begin
  problem := case
    when since is null or since >= until_at then 'the period does not begin before it ends'
    when since not between '1970-01-01' and '9999-12-31' or until_at not between '1970-01-01' and '9999-12-31'
      then 'the period is not between the years 1970 and 9999'
    when states is null or cardinality(states) = 0 or not states <@ '{succeeded,failed,cancelled}'::text[]
      or array_position(states, null) is not null
      then 'the states are not some of succeeded, failed and cancelled'
    when cardinality(event_types) = 0 then 'the list of event types is empty'
    when rate is null or rate not between 1 and 10000 then 'the rate is not 1 to 10,000 deliveries a second'
    else posthorn.event_types_problem(event_types)
  end;
  if problem is not null then
    raise exception 'deliveries of the subscription % cannot be sent again: %', subscription_id, problem
      using errcode = 'invalid_parameter_value',
        hint = 'For example: select posthorn.replay(1, since => now() - interval ''1 hour'', event_types => ''{order.*}'');';
  end if;
  return posthorn.begin_task(tenant, 'replay', subscription_id, since, until_at,
    array(select distinct unnest(states))::posthorn.delivery_state[], event_types, rate);
end
$$;
comment on function posthorn.replay is
  'Starts a task that sends the deliveries of a period again, the oldest first, at a limited rate. Returns its id; GET /v1/tasks/{id} shows its progress.';
revoke execute on function posthorn.replay from public;
