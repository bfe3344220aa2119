create or replace function posthorn.store_subscription_event_types() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' and old.deleted_at is null then
    -- By the values of the primary key, because there is no index on the id alone.
    delete from posthorn.subscription_event_types e
    where e.tenant = old.tenant
      and e.event_type = any (coalesce(old.event_types, '{*}'))
      and e.channel = any (coalesce(old.channels, '{""}'))
      and e.subscription_id = old.id;
  end if;
  if tg_op <> 'DELETE' and new.deleted_at is null then
    insert into posthorn.subscription_event_types (tenant, event_type, channel, subscription_id)
    select distinct new.tenant, event_type, channel, new.id
    from unnest(coalesce(new.event_types, '{*}')) as t (event_type)
    cross join (
      select '' as channel where new.channels is null
      union all
      select channel from unnest(new.channels) as c (channel) where channel <> ''
    ) as c
    where event_type is not null;
  end if;
  return null;
end
$$;
comment on function posthorn.store_subscription_event_types is
  'Trigger: stores the event types and channels of a subscription as rows of subscription_event_types.';
revoke execute on function posthorn.store_subscription_event_types from public;

create or replace trigger store_event_types
  after insert or delete or update of id, tenant, event_types, channels, deleted_at on posthorn.subscriptions
  for each row execute function posthorn.store_subscription_event_types();
