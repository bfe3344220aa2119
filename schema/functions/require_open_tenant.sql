-- Not for the columns of subscriptions and keys that workers write: they go on while a tenant moves.
create or replace function posthorn.require_open_tenant() returns trigger
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  of_tenant constant text := case tg_op when 'DELETE' then old.tenant else new.tenant end;
begin
  -- The lock makes posthorn.close_tenant wait for this transaction. If the tenant was closed after the snapshot of this
  -- transaction, Postgres refuses the lock (40001).
  perform posthorn.require_open(t.id, t.closed_at is not null)
  from (select id, closed_at from posthorn.tenants where id = of_tenant for share) as t;
  return case tg_op when 'DELETE' then old else new end;
end
$$;
comment on function posthorn.require_open_tenant is
  'Trigger: refuses changes to a subscription, a key or an event type, and new bulk operations, whose tenant is closed in this database.';
revoke execute on function posthorn.require_open_tenant from public;

create or replace trigger require_open before insert or update of tenant, url, format, description, metadata, deleted_at,
    event_types, channels, filter, headers, retry_schedule, timeout_ms, max_in_flight, rate_limit, rate_limit_per_ms, ordering,
    secret, retired_secrets, signature_scheme, signature_header, signature_template, signature_content, verify, verify_secret,
    forward_headers, ingest_content_types, expire_after_ms
  on posthorn.subscriptions for each row execute function posthorn.require_open_tenant();
create or replace trigger require_open before insert or update of tenant, scopes, expires_at, revoked_at
  on posthorn.keys for each row execute function posthorn.require_open_tenant();
create or replace trigger require_open before insert on posthorn.tasks
  for each row execute function posthorn.require_open_tenant();
create or replace trigger require_open before insert or update or delete
  on posthorn.event_types for each row execute function posthorn.require_open_tenant();
