-- As webhooks, for reporters that are limited to tenants.
create or replace view posthorn.tenant_webhooks as
select
  id as webhook_id, accepted_at, tenant, event_type, content_type,
  posthorn.try_jsonb(body) as payload,
  length(body) as bytes,
  headers,
  coalesce(unfilterable, false) as unfilterable,
  deliver_at
from posthorn.readable_payloads;
comment on view posthorn.tenant_webhooks is
  'The rows of webhooks whose tenants the reader may read.';
