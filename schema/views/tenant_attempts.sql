-- See tenant_deliveries.
create or replace view posthorn.tenant_attempts with (security_barrier) as
select r.*
from posthorn.attempt_report r
where r.subscription_id in (
  select s.id from posthorn.subscriptions s
  where (select posthorn.readable_tenants()) is null or s.tenant = any ((select posthorn.readable_tenants())::text[]));
comment on view posthorn.tenant_attempts is
  'The rows of attempt_report whose tenants the reader may read.';
