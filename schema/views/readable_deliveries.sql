-- See readable_subscriptions. The order spares a list of the latest deliveries a sort of the whole report.
create or replace view posthorn.readable_deliveries with (security_barrier) as
select t.webhook_id, t.subscription_id, t.state, t.attempt_count, t.next_attempt_at, t.ended_at
from posthorn.deliveries t
where t.subscription_id in (
  select s.id from posthorn.subscriptions s
  where (select posthorn.readable_tenants()) is null or s.tenant = any ((select posthorn.readable_tenants())::text[]))
order by t.webhook_id desc;
comment on view posthorn.readable_deliveries is
  'The deliveries of the tenants that the reader may read. Only for the view tenant_deliveries.';
