-- Its cost depends on the number of subscriptions that it finds, and not on the number that the tenant has. More than 100,000
-- are too many for a webhook (accept_general), so it looks for no more.
create or replace function posthorn.matching_subscriptions(tenant text, event_type text, channels text[])
  returns integer[]
  language plpgsql stable
  set enable_seqscan = off
as $$
begin
  return array(select m.id from posthorn.list_matching_subscriptions(tenant, event_type, channels) as m (id) limit 100001);
end
$$;
comment on function posthorn.matching_subscriptions is
  'The result of posthorn.list_matching_subscriptions as an array.';
revoke execute on function posthorn.matching_subscriptions from public;
