-- See tenant_deliveries.
create or replace view posthorn.tenant_webhooks with (security_barrier) as
select r.*
from posthorn.webhooks r
where (select posthorn.readable_tenants()) is null or r.tenant = any ((select posthorn.readable_tenants())::text[]);
comment on view posthorn.tenant_webhooks is
  'The rows of webhooks whose tenants the reader may read.';
