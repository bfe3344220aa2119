-- Postgres puts the query in the place of the call in a `from` clause, so a call costs nothing there. The lookup must
-- use the index in any session, whatever the statistics say: a plan for a small table may be kept while the table
-- grows, and Postgres expects very many rows if a tenant uses few different types. So the functions whose statements
-- call this set enable_seqscan = off.
create or replace function posthorn.list_matching_subscriptions(tenant text, event_type text, channels text[])
  returns setof integer
  language sql stable
  begin atomic
    select e.subscription_id
    from posthorn.subscription_event_types e
    where e.tenant = list_matching_subscriptions.tenant
      and e.event_type = any (posthorn.event_type_patterns(list_matching_subscriptions.event_type))
      and e.channel = any (array_append(list_matching_subscriptions.channels, ''));
  end;
comment on function posthorn.list_matching_subscriptions is
  'The ids of the subscriptions of a tenant that match an event type and channels. They may be paused or disabled, an id may occur several times, and filters are not tested.';
revoke execute on function posthorn.list_matching_subscriptions from public;
