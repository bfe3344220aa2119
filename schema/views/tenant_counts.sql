-- See tenant_deliveries.
create or replace view posthorn.tenant_counts with (security_barrier) as
select r.*
from posthorn.counts_by_hour r
where (select posthorn.readable_tenants()) is null or r.tenant = any ((select posthorn.readable_tenants())::text[]);
comment on view posthorn.tenant_counts is
  'The rows of counts_by_hour whose tenants the reader may read.';
