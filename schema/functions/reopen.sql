-- Makes deliveries owed at once that have ended in one of these states; with `pending` among these, also those that
-- wait for their next attempt. They go on counting their attempts, and the start of the new schedule is stored as an
-- offset, so that history has no gaps and no number twice.
--
-- Deliveries whose subscription is deleted or whose body is gone are skipped. No body expires between being seen
-- here and the commit: erasing bodies takes the same lock (maintenance/erase-bodies.ts). A lock on the bodies' rows
-- would write to each of their pages.
--
-- Deliveries that go through a backlog are held, as intake does it, and the backlog's owner is notified.
create or replace function posthorn.reopen(
  webhooks uuid[],
  -- The nth delivery is that of the nth webhook to the nth subscription.
  subscriptions integer[],
  states posthorn.delivery_state[]
) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  many constant integer := coalesce(cardinality(webhooks), 0);
  first_id uuid;
  last_id uuid;
  held integer[];
  jobs json[];
  due integer;
  reopened integer;
begin
  if many = 0 then
    return 0;
  end if;
  perform posthorn.require_open_subscriptions(subscriptions);
  -- A statement of its own, so that the next one sees what was committed before it was granted.
  perform pg_advisory_xact_lock_shared(1347637332, -2);
  -- A snapshot from before that cannot see it. The lock on the rows fails with 40001 if they were erased since.
  if current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    perform from posthorn.webhook_payloads where id = any (webhooks) for share;
  end if;
  -- Text, because there is no min(uuid) before Postgres 18.
  select min(id::text collate "C"), max(id::text collate "C") from unnest(webhooks) as w (id) into first_id, last_id;
  with bodies as materialized (
    select p.id, length(p.body) as bytes
    from posthorn.webhook_payloads p
    where p.id = any (webhooks) and p.id between first_id and last_id and p.body is not null
  ), owed as (
    update posthorn.deliveries d
    set state = case when s.through_backlog then 'held' else 'pending' end::posthorn.delivery_state,
        next_attempt_at = now(),
        ended_at = null,
        reason = null,
        queued = not s.through_backlog,
        handed_to = null,
        -- Probes used up nothing of the schedule, before it begins again or after.
        schedule_offset = case d.state when 'pending' then d.schedule_offset
          else d.attempt_count - d.probe_count end
    from unnest(webhooks, subscriptions) as k (webhook_id, subscription_id)
    join bodies b on b.id = k.webhook_id
    join posthorn.subscriptions s on s.id = k.subscription_id and s.deleted_at is null
      -- A hash join alone would read all subscriptions.
      and s.id = any (subscriptions)
    where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
      and d.webhook_id = any (webhooks) and d.webhook_id between first_id and last_id
      and d.state::text in ('pending', 'succeeded', 'failed', 'cancelled') and d.state = any (states)
      -- A delivery that is due already has its job.
      and (d.state <> 'pending' or d.next_attempt_at > now())
      -- They are counted in a smallint, and only a faulty loop makes so many.
      and d.attempt_count < 30000
    returning d.webhook_id, d.subscription_id, d.attempt_count, d.state, b.bytes
  ), jobs as (
    -- A job names 25 deliveries at most, as in deliveries/jobs.sql.ts.
    select posthorn.deliver_job(
      attempt_count + 1, sum(bytes)::bigint, array_agg(webhook_id), array_agg(subscription_id)) as payload
    from (
      select *, (row_number() over (partition by attempt_count) - 1) / 25 as job
      from owed where state = 'pending'
    ) as numbered
    group by attempt_count, job
  )
  select count(*), count(*) filter (where o.state = 'pending'),
    array_agg(distinct o.subscription_id) filter (where o.state = 'held'),
    (select array_agg(payload) from jobs)
  from owed o
  into reopened, due, held, jobs;
  if held is not null then
    -- As markBacklogs of deliveries/backlogs.sql.ts, which says why it writes rows that are there.
    insert into posthorn.backlogs (subscription_id) select id from unnest(held) as h (id) order by id
      on conflict (subscription_id) do update set added_at = clock_timestamp();
    perform posthorn.notify_backlogs(held);
  end if;
  if jobs is not null then
    -- More than so many at once go behind new webhooks.
    perform set_config('posthorn.bulk', case when many > 25 then 'on' else '' end, true);
    perform posthorn.add_deliver_jobs(jobs, due);
    perform set_config('posthorn.bulk', '', true);
  end if;
  return reopened;
end
$$;
comment on function posthorn.reopen is
  'Makes deliveries owed at once that have ended, or that wait for a retry. Returns how many are due now and were not before.';
revoke execute on function posthorn.reopen from public;
