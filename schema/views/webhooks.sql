create or replace view posthorn.webhooks as
select
  id as webhook_id, accepted_at, tenant, event_type, content_type,
  posthorn.try_jsonb(body) as payload,
  length(body) as bytes,
  headers,
  coalesce(unfilterable, false) as unfilterable,
  deliver_at
from posthorn.webhook_payloads;
comment on view posthorn.webhooks is 'A row for each webhook, with its payload as jsonb.';
