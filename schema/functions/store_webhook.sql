-- One statement stores the webhook with its deliveries, because a statement costs plpgsql 12 to 18 µs beside its
-- rows, and a list of one element in place of a value costs 9 µs more (*measured*).
--
-- If a worker takes webhooks from SQL (src/queue/offer.ts), their deliveries need no job: the row names the worker, a
-- notification has the keys, and the worker loads and sends them. A job is a row that is inserted, locked and deleted,
-- with six index entries. *Measured*, a single webhook from posthorn.send with and without a job: the transaction that
-- sends writes 1,600 and 1,070 bytes of WAL, and takes 530 and 350 µs of CPU with its commit (on a busy machine); all
-- that is done until the result is recorded writes 2,740 and 1,760 bytes. A transaction that sends many uses the queue,
-- which has priorities, and from which a worker takes no more than it can send. HTTP hands over by itself, if it can.
--
-- Rejected: workers that look for such deliveries in `deliveries`. The partial index would cost each webhook two
-- entries, and the search runs all the time. The body in the notification: any role of the database may listen. The
-- job of a single delivery in the statement that stores it: that saves 30 of 300 µs where a job is needed, and what is
-- known of the queue's table would be in two places.
create or replace function posthorn.store_webhook(
  body bytea,
  content_type text,
  tenant text,
  event_type text,
  channels text[],
  ordering_key text,
  headers jsonb,
  -- To which it will be delivered; null: none.
  subscriptions integer[],
  -- The worker that calls this and takes over the first `room` deliveries, as in posthorn.accept.
  worker integer default null,
  room integer default 0
) returns uuid
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- It has the number of the transaction before anybody is asked whether a worker takes the webhook: a worker that stops
  -- relies on it (maintenance/worker-lease.ts).
  id constant uuid := posthorn.uuidv7();
  size constant integer := coalesce(cardinality(subscriptions), 0);
  most_announced constant integer := 25;
  -- Deliveries that this transaction has sent.
  sent integer;
  -- The worker that is told of them.
  told integer;
  ignored text;
  per_job integer;
  jobs json[];
  priority smallint;
begin
  if worker is null and size between 1 and most_announced and coalesce(current_setting('posthorn.bulk', true), '') = ''
    -- Nobody takes webhooks if the lock is free. Two senders that try it at the same time look for a worker in vain.
    and not (case when pg_try_advisory_lock(1347637332, -8)
      then pg_advisory_unlock(1347637332, -8) else false end)
    and (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true then
    sent := size + coalesce(substring(current_setting('posthorn.sent', true) from '^[0-9]{1,9}$'), '0')::integer;
    if sent <= most_announced then
      -- A worker that takes webhooks holds its lock. Its row may be older than that, if the snapshot is.
      told := (
        select t.number
        from (
          select substr(w.pool_id, 11)::integer as number from posthorn.workers w where w.pool_id like 'hand-over-%'
          -- So that no other name is read as a number.
          offset 0
        ) as t
        where not case when pg_try_advisory_lock_shared(1347637333, t.number)
          then pg_advisory_unlock_shared(1347637333, t.number) else false end
        limit 1);
    end if;
  end if;
  with payload as (
    insert into posthorn.webhook_payloads
      (id, accepted_at, tenant, event_type, content_type, body, channels, ordering_key, headers)
    values (id, posthorn.uuidv7_time(id), tenant, event_type, content_type, body, channels, ordering_key, headers)
  )
  insert into posthorn.deliveries (webhook_id, subscription_id, handed_to)
  select id, o.subscription_id, case when o.nth <= room then worker else told end
  from unnest(subscriptions) with ordinality as o (subscription_id, nth);
  if told is not null then
    ignored := set_config('posthorn.sent', sent::text, true);
    ignored := pg_notify('posthorn_handed_over',
      format('%s %s %s %s', told, length(body), id, array_to_string(subscriptions, ',')));
  elsif size > room then
    per_job := least(25, greatest(1, (size - room) / 3));
    for nth in room + 1 .. size by per_job loop
      jobs := jobs || posthorn.deliver_job(1, length(body)::bigint * least(per_job, size - nth + 1),
        array_fill(id, array[least(per_job, size - nth + 1)]), subscriptions[nth : nth + per_job - 1]);
    end loop;
    -- An assignment, because plpgsql runs `perform` as a statement. The value is not needed.
    priority := posthorn.add_deliver_jobs(jobs, size);
  end if;
  return id;
end
$$;
comment on function posthorn.store_webhook is
  'Stores a webhook and its deliveries, and tells a worker of them, or adds the jobs that wake the workers. Returns its id.';
revoke execute on function posthorn.store_webhook from public;
