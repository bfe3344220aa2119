create or replace function posthorn.begin_task(
  tenant text,
  kind text,
  -- Null: all subscriptions of the tenant.
  subscription_id integer,
  -- Webhooks accepted from `since` on and before `until`; null: no bound.
  since timestamptz,
  until timestamptz,
  states posthorn.delivery_state[],
  -- Patterns; null: all webhooks, also those without a type.
  event_types text[],
  -- Deliveries a second; null: no limit.
  rate integer
) returns uuid
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- Not counting those of deleted subscriptions.
  most_unfinished constant integer := 20;
  task uuid;
begin
  if (select count(*) from posthorn.tasks t
      where t.tenant = begin_task.tenant and t.state in ('waiting', 'running') and t.kind <> 'delete') >= most_unfinished
  then
    raise exception 'There are % tasks that are not done yet', most_unfinished
      using errcode = 'configuration_limit_exceeded', hint = 'Wait until a task has ended, or cancel a task.';
  end if;
  insert into posthorn.tasks (tenant, kind, subscription_id, since_id, until_id, states, event_types, rate)
    values (tenant, kind, subscription_id,
      coalesce(posthorn.uuidv7_floor(since), '00000000-0000-0000-0000-000000000000'),
      coalesce(posthorn.uuidv7_floor(until), 'ffffffff-ffff-ffff-ffff-ffffffffffff'),
      states, event_types, rate)
    returning id into task;
  perform posthorn.enqueue_task(task);
  return task;
end
$$;
comment on function posthorn.begin_task is
  'Stores a bulk operation and queues the job that works on it. Returns its id.';
revoke execute on function posthorn.begin_task from public;
