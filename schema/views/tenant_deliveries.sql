-- For reporters that are limited to tenants. The barrier keeps conditions of the reader away from rows of other tenants: a
-- function in such a condition could tell them. So only comparisons that tell nothing (=, < and the like of ids, times,
-- numbers and texts) use indexes; delivery_report has no barrier and uses them for all.
create or replace view posthorn.tenant_deliveries with (security_barrier) as
select r.*
from posthorn.delivery_report r
where r.subscription_id in (
  select s.id from posthorn.subscriptions s
  where (select posthorn.readable_tenants()) is null or s.tenant = any ((select posthorn.readable_tenants())::text[]));
comment on view posthorn.tenant_deliveries is
  'The rows of delivery_report whose tenants the reader may read.';
