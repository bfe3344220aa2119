-- As replayLatest of src/bulk-operations/replay-latest.ts, which reads the webhooks by other statements, because a request
-- must not hold up others. It goes through the partitions from the newest on: of constants, Postgres plans and locks
-- only that partition. The rows come by a cursor, so no body is read that is not needed.
create or replace function posthorn.replay_latest(
  subscription_id integer,
  -- The most webhooks.
  last integer default 10,
  -- Types, prefixes such as order.*, or *. Null: all that the subscription gets.
  event_types text[] default null
) returns integer
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  owner constant text := posthorn.require_subscription(subscription_id, posthorn.allowed_tenants('{manage}'));
  stop_at constant timestamptz := clock_timestamp() + interval '3 seconds';
  problem text;
  target posthorn.subscriptions;
  days record;
  webhook record;
  looked_at integer := 0;
  chosen uuid[] := '{}';
begin
  problem := case
    when last is null or last not between 1 and 100 then 'the number of webhooks is not 1 to 100'
    when cardinality(event_types) = 0 then 'the list of event types is empty'
    else posthorn.event_types_problem(event_types)
  end;
  if problem is not null then
    raise exception 'the latest webhooks cannot be sent to the subscription % again: %', subscription_id, problem
      using errcode = 'invalid_parameter_value',
        hint = 'For example: select posthorn.replay_latest(1, last => 10, event_types => ''{order.*}'');';
  end if;
  -- The lock waits for a deletion, which cancels what it finds.
  select * from posthorn.subscriptions s where s.id = subscription_id and s.deleted_at is null for share into target;
  <<history>>
  for days in
    select from_at, until_at from posthorn.list_partitions()
    where parent = 'webhook_payloads' and from_at <= clock_timestamp() order by from_at desc
  loop
    -- In a day without a webhook of the tenant, the loop below does not look at the time.
    exit when clock_timestamp() > stop_at;
    for webhook in execute format($query$
      select w.id, coalesce(
        (w.deliver_at is null or w.deliver_at <= clock_timestamp())
        and ($3::text[] is null or $3 && posthorn.event_type_patterns(w.event_type))
        and case
          when exists (
            select from posthorn.deliveries d
            where d.webhook_id = w.id and d.webhook_id >= %1$L and d.webhook_id < %2$L and d.subscription_id = $2
          ) then true
          -- It was sent to another subscription alone.
          when w.event_type is null then false
          when not coalesce($4::text[], '{*}') && posthorn.event_type_patterns(w.event_type) then false
          when $5::text[] is not null and ($5 && w.channels) is not true then false
          when $6::jsonpath is null then true
          else jsonb_path_exists(posthorn.webhook_data(w.body, w.event_type), $6, '{}', true)
        end, false) as wanted
      from posthorn.webhook_payloads w
      where w.id >= %1$L and w.id < %2$L and w.tenant = $1 and w.body is not null %3$s
      order by w.id desc$query$,
      posthorn.uuidv7_floor(days.from_at), posthorn.uuidv7_floor(days.until_at),
      -- The index by tenant leaves out the default tenant.
      case when owner <> 'default' then 'and w.tenant <> ''default''' end)
      using owner, target.id, event_types, target.event_types, target.channels, target.filter_test
    loop
      looked_at := looked_at + 1;
      if webhook.wanted then
        chosen := chosen || webhook.id;
      end if;
      exit history when cardinality(chosen) >= last or looked_at >= 10000 or clock_timestamp() > stop_at;
    end loop;
  end loop;
  -- As deliverAgain of src/deliveries/deliver-again.sql.ts: a new delivery waits for a second, because `reopen` makes one
  -- that waits due.
  insert into posthorn.deliveries (webhook_id, subscription_id, next_attempt_at, queued)
    select w.id, target.id, now() + interval '1 second', false from unnest(chosen) as w (id)
    where target.id is not null
    on conflict do nothing;
  return posthorn.reopen(chosen, array_fill(target.id, array[cardinality(chosen)]), '{succeeded,failed,cancelled,pending}');
end
$$;
comment on function posthorn.replay_latest is
  'Sends the latest webhooks to a subscription at once, when the transaction commits: those that it had, and those that it would get now. Returns how many deliveries are due now and were not before.';
revoke execute on function posthorn.replay_latest from public;
