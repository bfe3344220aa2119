-- Its cost depends on the number of subscriptions that it finds, and not on the number that the tenant has. The
-- lookup must use the index in any session, whatever the statistics say: a plan for a small table may be kept
-- while the table grows, and Postgres expects very many rows if a tenant uses few different types.
create or replace function posthorn.matching_subscriptions(tenant text, event_type text, channels text[])
  returns integer[]
  language plpgsql stable
  set enable_seqscan = off
as $$
begin
  return array(
    select e.subscription_id
    from posthorn.subscription_event_types e
    where e.tenant = matching_subscriptions.tenant
      and e.event_type = any (posthorn.event_type_patterns(matching_subscriptions.event_type))
      and e.channel = any (array_append(matching_subscriptions.channels, '')));
end
$$;
comment on function posthorn.matching_subscriptions is
  'The ids of the subscriptions of a tenant that match an event type and channels. They may be paused or disabled, an id may occur several times, and filters are not tested.';
revoke execute on function posthorn.matching_subscriptions from public;
