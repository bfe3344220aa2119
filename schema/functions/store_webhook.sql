-- One statement stores the webhook with its deliveries, because a statement costs plpgsql 12 to 18 µs beside its
-- rows, and a list of one element in place of a value costs 9 µs more (*measured*).
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
  -- The worker that takes over the first `room` deliveries, as in posthorn.accept.
  worker integer default null,
  room integer default 0
) returns uuid
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  id constant uuid := posthorn.uuidv7();
  size constant integer := coalesce(cardinality(subscriptions), 0);
  per_job integer;
  jobs json[];
  priority smallint;
begin
  with payload as (
    insert into posthorn.webhook_payloads
      (id, accepted_at, tenant, event_type, content_type, body, channels, ordering_key, headers)
    values (id, posthorn.uuidv7_time(id), tenant, event_type, content_type, body, channels, ordering_key, headers)
  )
  insert into posthorn.deliveries (webhook_id, subscription_id, handed_to)
  select id, o.subscription_id, case when o.nth <= room then worker end
  from unnest(subscriptions) with ordinality as o (subscription_id, nth);
  if size > room then
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
  'Stores a webhook, its deliveries and the jobs that wake the workers. Returns its id.';
revoke execute on function posthorn.store_webhook from public;
