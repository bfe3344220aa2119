-- See readable_subscriptions. The order spares a list of the latest webhooks a sort of the bodies.
create or replace view posthorn.readable_payloads with (security_barrier) as
select t.id, t.accepted_at, t.tenant, t.event_type, t.content_type, t.body, t.headers, t.unfilterable, t.deliver_at
from posthorn.webhook_payloads t
where (select posthorn.readable_tenants()) is null or t.tenant = any ((select posthorn.readable_tenants())::text[])
order by t.id desc;
comment on view posthorn.readable_payloads is
  'The webhooks of the tenants that the reader may read. Only for the view tenant_webhooks.';
