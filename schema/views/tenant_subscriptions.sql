-- For reporters that are limited to tenants. A barrier around the whole: see readable_subscriptions. There are few rows.
create or replace view posthorn.tenant_subscriptions with (security_barrier) as
select r.*
from posthorn.subscription_health r
where (select posthorn.readable_tenants()) is null or r.tenant = any ((select posthorn.readable_tenants())::text[]);
comment on view posthorn.tenant_subscriptions is
  'The rows of subscription_health whose tenants the reader may read.';
