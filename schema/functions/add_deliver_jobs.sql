-- It inserts the jobs as graphile_worker.add_jobs does, but without the search for jobs with the same key, because
-- these jobs have none. In a serializable transaction the search marked a part of the queue's index as read, so
-- transactions that did nothing but send at the same time failed with 40001 (34 to 271 of 320). *Measured*: a
-- send now takes half to two thirds of the CPU time while some thousand jobs wait.
--
-- The table and the notification are private to graphile-worker, so this is done only with the version of its
-- schema that test/queue/graphile-worker.test.ts compares it with. With another version, which a different
-- application may have installed in the same database, add_jobs adds the jobs; it also does so if its tasks have
-- no `deliver` yet.
--
-- If a sender sends thousands of webhooks at once (bulk), their jobs get a lower priority, and a single webhook
-- of another sender does not wait for them. Intake by HTTP counts the webhooks of a sender in the last second
-- and sets posthorn.bulk in its transaction. For an application that sends from SQL, this function counts the
-- deliveries of its transaction in the setting posthorn.sent. The application could set it to any text, so the
-- text is checked. Neither of the two writes to a table.
--
-- Workers that have to be woken hold a lock (src/queue/wake-ups.ts). Without one, nobody is notified: Postgres takes a
-- lock on the whole server from the commit of a notification until it is on the disk, so that transactions of many
-- senders would wait for each other.
--
-- An application turns notifications off with the setting posthorn.notify, because Postgres refuses to prepare a
-- transaction that has notified. The queue and the backlogs find such webhooks by polling. A value that means nothing counts as `on`: then
-- webhooks are sent as usual.
create or replace function posthorn.add_deliver_jobs(
  payloads json[],
  deliveries integer,
  -- When each job is due; an element that is null means now. Null: all are due now.
  run_ats timestamptz[] default null
) returns smallint
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  known_version constant integer := 20;
  bulk constant text := nullif(current_setting('posthorn.bulk', true), '');
  sent integer;
  ignored text;
  -- The queue's default, which goes before 1.
  priority smallint := 0;
begin
  if bulk is null then
    sent := coalesce(substring(current_setting('posthorn.sent', true) from '^[0-9]{1,9}$'), '0')::integer + deliveries;
    ignored := set_config('posthorn.sent', least(sent, 999999999)::text, true);
  end if;
  if bulk = 'on' or sent > 500 then
    priority := 1;
  end if;
  -- The lists are unnested in the select list, which costs 9 µs less than in the from clause.
  insert into graphile_worker._private_jobs (task_id, payload, max_attempts, priority, run_at)
    select j.task_id, j.payload, 32767, priority, coalesce(j.run_at, now())
    from (
      select t.id as task_id, unnest(payloads) as payload, unnest(run_ats) as run_at
      from graphile_worker._private_tasks t
      where t.identifier = 'deliver' and (select max(m.id) from graphile_worker.migrations m) = known_version
    ) as j;
  if not found then
    perform graphile_worker.add_jobs(array(
      select ('deliver', payload, null, run_at, 32767, null, priority, null)::graphile_worker.job_spec
      from unnest(payloads, run_ats) as j (payload, run_at)));
  -- Nobody need be woken for jobs that are due later. The condition on posthorn.notify is in accept_general too: as a
  -- function of its own, it would take 15 µs in each transaction (*measured*).
  elsif (run_ats is null or array_position(run_ats, null) is not null)
    and (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true
    -- Nobody has to be woken if the lock is free, and it is given back at once. Two senders that try it at the same time
    -- may notify nobody, which does no harm.
    and not (case when pg_try_advisory_lock(1347637332, -7)
      then pg_advisory_unlock(1347637332, -7) else false end) then
    -- Postgres leaves out a notification that equals an earlier one of the transaction; the random number prevents it.
    ignored := pg_notify('jobs:insert', format('{"r":%s,"count":%s}', random(), cardinality(payloads)));
  end if;
  return priority;
end
$$;
comment on function posthorn.add_deliver_jobs is
  'Adds jobs with these payloads for this many deliveries, with a lower priority if they are among many that were sent at once. Returns the priority.';
revoke execute on function posthorn.add_deliver_jobs from public;

-- Without it, the first senders would all read that it is missing, and add it.
insert into graphile_worker._private_tasks (identifier) values ('deliver') on conflict do nothing;
