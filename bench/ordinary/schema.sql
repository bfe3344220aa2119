-- The ordinary schema: a table for each kind of thing, with primary and foreign keys.
create schema ordinary;
create table ordinary.subscriptions (
  id integer generated always as identity primary key,
  url text not null,
  secret text,
  created_at timestamptz not null default now()
);
create table ordinary.webhooks (
  id uuid primary key default gen_random_uuid(),
  subscription_id integer not null references ordinary.subscriptions,
  body bytea not null,
  state text not null default 'pending',
  attempts integer not null default 0,
  created_at timestamptz not null default now()
);
create index on ordinary.webhooks (subscription_id, created_at);
create table ordinary.delivery_attempts (
  id bigint generated always as identity primary key,
  webhook_id uuid not null references ordinary.webhooks,
  attempt_number integer not null,
  status text not null,
  response_code integer,
  error text,
  duration_ms integer not null,
  created_at timestamptz not null default now()
);
create index on ordinary.delivery_attempts (webhook_id);
create index on ordinary.delivery_attempts (created_at);
