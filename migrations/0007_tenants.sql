-- 0007: tenants, and the keys of those who may ask.
--
-- * A tenant that is deleted keeps its row: its history stays until its retention is over, and whoever
--   came to bear the same id would see it. So an id is never given twice.
-- * Keys are stored as SHA-256 of what was shown once. They are 178 random bits, so nothing slower
--   than a plain hash is needed: there is no dictionary to try.
-- Locks: `subscriptions` is locked against writes while the tenants in it are read and its index is
-- made, which takes milliseconds, and that comes last. Before it, all webhooks are read once for their
-- tenants, without a lock that anybody waits for: some seconds for ten million.
-- An older version that still runs knows the tenant `default` only, which exists from here on.

create table posthorn.tenants (
  id text primary key,
  name text,
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  -- How long its history is kept; null: as long as everybody's.
  retention_ms bigint check (retention_ms > 0),
  -- Whether it takes only event types that are registered.
  strict_event_types boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint tenants_default_stays check (id <> 'default' or deleted_at is null)
);
comment on table posthorn.tenants is
  'Whose subscriptions, webhooks, deliveries and keys they are. `default` is where nobody says otherwise.';

create table posthorn.keys (
  id integer generated always as identity primary key,
  -- Null: of all tenants, which is what `admin` means.
  tenant text references posthorn.tenants (id),
  hash bytea not null unique check (length(hash) = 32),
  -- Its beginning, by which people know it again.
  hint text not null,
  name text,
  environment text not null check (environment in ('live', 'test')),
  scopes text[] not null
    check (cardinality(scopes) > 0 and scopes <@ array['read', 'send', 'manage', 'admin']),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  -- To within a minute.
  last_used_at timestamptz,
  revoked_at timestamptz,
  constraint keys_admin_is_of_all_tenants check ((tenant is null) = ('admin' = any (scopes)))
);
comment on table posthorn.keys is 'Who may ask what: keys, as SHA-256.';
create index keys_of_tenant on posthorn.keys (tenant, id);

-- What changes is dropped from every process's cache. A hash gives away nothing of a key.
create function posthorn.notify_key_changed() returns trigger
  language plpgsql as $$
begin
  perform pg_notify('posthorn_keys', encode(coalesce(new.hash, old.hash), 'hex'));
  return null;
end
$$;
create trigger notify_changed
  after insert or delete or update of tenant, hash, scopes, expires_at, revoked_at on posthorn.keys
  for each row execute function posthorn.notify_key_changed();

create function posthorn.notify_tenant_changed() returns trigger
  language plpgsql as $$
begin
  -- No cache knows longer ones, and a notification takes no more than 8,000 bytes.
  perform pg_notify('posthorn_tenants', left(coalesce(new.id, old.id), 256));
  return null;
end
$$;
create trigger notify_changed after insert or update or delete on posthorn.tenants
  for each row execute function posthorn.notify_tenant_changed();

create function posthorn.require_tenant(tenant text) returns void
  language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  -- This one cannot be deleted, and is whom nearly everybody sends to.
  if tenant = 'default' then
    return;
  end if;
  perform from posthorn.tenants t where t.id = require_tenant.tenant and t.deleted_at is null;
  if not found then
    raise exception 'there is no tenant "%"', tenant
      using errcode = 'foreign_key_violation',
        hint = 'Create it by POST /v1/tenants, or leave the tenant out for the one named default.';
  end if;
end
$$;
comment on function posthorn.require_tenant(text) is
  'Raises foreign_key_violation (23503) unless there is such a tenant and it was not deleted.';
revoke execute on function posthorn.require_tenant(text) from public;

-- Tenants that so far were but words ---------------------------------------------------------------

insert into posthorn.tenants (id) values ('default');
insert into posthorn.tenants (id)
  select distinct tenant from posthorn.webhook_payloads
  on conflict do nothing;

lock table posthorn.subscriptions in share row exclusive mode;
insert into posthorn.tenants (id)
  select distinct tenant from posthorn.subscriptions
  on conflict do nothing;

-- Lists and figures of a tenant look at the subscriptions that were deleted too.
create index subscriptions_by_tenant on posthorn.subscriptions (tenant, id);

-- Rather than a foreign key, because a tenant that was deleted has a row, and may not be deleted at
-- the moment in which it gets a subscription.
create function posthorn.require_tenant_of_subscription() returns trigger
  language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  if new.tenant <> 'default' then
    perform from posthorn.tenants where id = new.tenant for share;
    perform posthorn.require_tenant(new.tenant);
  end if;
  return new;
end
$$;
create trigger require_tenant before insert or update of tenant on posthorn.subscriptions
  for each row execute function posthorn.require_tenant_of_subscription();
