-- Every cancellation is this statement. It notifies the owners of the backlogs: with strict order, a cancelled
-- delivery that waited for its retry no longer holds up others.
--
-- Planned for its ids each time, it locks only the partitions of their days. A plan for any ids would lock all.
create or replace function posthorn.cancel_deliveries(
  webhooks uuid[],
  -- The nth delivery is that of the nth webhook to the nth subscription.
  subscriptions integer[],
  reason text default null
) returns integer
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_custom_plan
as $$
declare
  first_id uuid;
  last_id uuid;
  cancelled integer;
  with_backlog integer[];
begin
  if coalesce(cardinality(webhooks), 0) = 0 then
    return 0;
  end if;
  perform posthorn.require_open_subscriptions(subscriptions);
  -- Text, because there is no min(uuid) before Postgres 18.
  select min(id::text collate "C"), max(id::text collate "C") from unnest(webhooks) as w (id) into first_id, last_id;
  with cancelled as (
    update posthorn.deliveries d
    set state = 'cancelled', reason = cancel_deliveries.reason, ended_at = now(), next_attempt_at = null
    from unnest(webhooks, subscriptions) as k (webhook_id, subscription_id)
    where d.webhook_id = k.webhook_id and d.subscription_id = k.subscription_id
      and d.webhook_id = any (webhooks) and d.webhook_id between first_id and last_id
      and d.state::text in ('pending', 'held')
    returning d.subscription_id
  )
  select count(*), (
      select array_agg(b.subscription_id) from posthorn.backlogs b
      where b.subscription_id in (select c.subscription_id from cancelled c))
    from cancelled
    into cancelled, with_backlog;
  perform posthorn.notify_backlogs(with_backlog);
  return cancelled;
end
$$;
comment on function posthorn.cancel_deliveries is
  'Cancels deliveries that have not ended. Returns how many these were.';
revoke execute on function posthorn.cancel_deliveries from public;
