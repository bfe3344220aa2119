-- The only place that builds the payload of a `deliver` job; DeliverJob (src/deliveries/jobs.sql.ts) is its
-- type. Postgres puts the expression in the place of the call, so a call costs nothing.
create or replace function posthorn.deliver_job(
  -- The number of the attempt that is due.
  attempt integer,
  -- The size of the bodies together.
  bytes bigint,
  -- The nth webhook is owed to the nth subscription.
  webhooks uuid[],
  subscriptions integer[]
) returns json
  language sql stable parallel safe
  return json_build_object('attempt', attempt, 'bytes', bytes, 'webhooks', webhooks, 'subscriptions', subscriptions);
comment on function posthorn.deliver_job is
  'The payload of a job that wakes deliveries.';
revoke execute on function posthorn.deliver_job from public;
