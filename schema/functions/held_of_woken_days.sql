-- The views from which receivers pull lack a day that was woken just now, until a worker has written them again. This
-- finds what is held there, by statements that name these days. Nearly always there are none, and it does nothing.
create or replace function posthorn.held_of_woken_days(subscription integer)
  returns table (
    webhook_id uuid, attempt_count smallint, next_attempt_at timestamptz, event_type text, ordering_key text, body_length integer
  )
  language plpgsql stable rows 1
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  -- Of a day. There are more than may be handed out at once (lease_deliveries).
  most constant integer := 2000;
  day record;
begin
  for day in
    select distinct posthorn.uuidv7_floor(q.from_at) as from_id, posthorn.uuidv7_floor(q.until_at) as below_id
    from posthorn.woken_history w
    join posthorn.quiet_history q on q.from_at = w.from_at
    where not w.in_views
  loop
    return query execute format(
      'select d.webhook_id, d.attempt_count, d.next_attempt_at, p.event_type, p.ordering_key, length(p.body)
       from posthorn.deliveries d
       left join posthorn.webhook_payloads p on p.id = d.webhook_id and p.id >= %1$L and p.id < %2$L
       where d.webhook_id >= %1$L and d.webhook_id < %2$L and d.subscription_id = $1 and d.state = ''held''
       order by d.webhook_id
       limit %3$s', day.from_id, day.below_id, most) using subscription;
  end loop;
end
$$;
comment on function posthorn.held_of_woken_days is
  'The held deliveries of a subscription, of days that were woken just now.';
revoke execute on function posthorn.held_of_woken_days from public;
