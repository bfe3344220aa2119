create or replace function posthorn.retry_refusal(webhook_id uuid, subscription_id integer, tenants text[]) returns text
  language plpgsql stable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  deleted boolean;
  expired boolean;
  attempts integer;
begin
  select s.deleted_at is not null, p.body is null, d.attempt_count
    from posthorn.deliveries d
    join posthorn.subscriptions s on s.id = d.subscription_id
    join posthorn.webhook_payloads p on p.id = d.webhook_id and p.id = retry_refusal.webhook_id
    where d.webhook_id = retry_refusal.webhook_id and d.subscription_id = retry_refusal.subscription_id
      and (tenants is null or s.tenant = any (tenants))
    into deleted, expired, attempts;
  return case
    when not found then 'unknown'
    when deleted then 'subscription deleted'
    when expired then 'body expired'
    when attempts >= 30000 then 'too many attempts'
  end;
end
$$;
comment on function posthorn.retry_refusal is
  'Why a delivery of one of these tenants (null: of any) cannot be tried again: unknown, subscription deleted, body expired or too many attempts. Null: it can.';
revoke execute on function posthorn.retry_refusal from public;
