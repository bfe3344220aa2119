-- 0001: types, tables and indexes, and the rows and the role that exist from the start.
--
-- Functions and views are files of their own in schema/functions/ and schema/views/, which are applied
-- after the migrations, whenever their text has changed. A function's file also attaches what calls the
-- function from a table: its triggers, or the defaults of columns. So nothing here needs a function.
--
-- The ideas that the tables follow:
-- * `deliveries` says what is owed; a graphile-worker job is only a wake-up. A job that is lost, doubled
--   or stuck therefore never loses a webhook.
-- * The history (webhook_payloads, deliveries, delivery_attempts) is partitioned by day on the webhook's
--   id, a UUIDv7, which begins with its time. The three tables have the same bounds, so a day's webhooks,
--   deliveries and attempts are dropped together: a DROP TABLE takes milliseconds, a DELETE took hours.
--   posthorn.ensure_partitions makes the days, a week ahead.
-- * Indexes are partial where the question is about few rows: what is owed, what is held, what failed.
--   They stay small beside the history, and cost nearly nothing while receivers are well.
-- * History has no foreign keys. One function writes its three tables together, and a check for each row
--   would cost a lock and an index lookup in the statement that runs most. Subscriptions, tenants and keys
--   that were deleted keep their rows, because history goes on naming them.
-- * The tenant of a subscription is not a foreign key either: a trigger (require_tenant) also refuses a
--   tenant that was deleted, and locks its row, so that it is not deleted at the same moment.
--
-- The order of columns in history counts: wide fixed ones first, and the body last, so that rows have
-- little padding and reading the other columns does not walk over the body.
-- Locks: only new objects.

create type posthorn.delivery_state as enum ('pending', 'held', 'succeeded', 'failed', 'cancelled');
create type posthorn.attempt_status as enum ('success', 'failed', 'timeout', 'blocked');
create type posthorn.subscription_status as enum ('active', 'paused', 'disabled');
create type posthorn.subscription_ordering as enum ('none', 'strict');

-- Tenants and keys ---------------------------------------------------------------------------------

-- A deleted tenant keeps its row: its history stays until its retention is over, and a new tenant with the
-- same id would see that history. So an id is never given twice.
create table posthorn.tenants (
  id text primary key,
  name text,
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  -- How long its history is kept; null: as long as POSTHORN_RETENTION says.
  retention_ms bigint check (retention_ms > 0),
  -- Whether it accepts only event types that are registered, and only data that fit their schema.
  strict_event_types boolean not null default false,
  validate_event_types boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  constraint tenants_default_stays check (id <> 'default' or deleted_at is null)
);
comment on table posthorn.tenants is
  'The owners of subscriptions, webhooks, deliveries and keys. `default` is the one where none is named.';
insert into posthorn.tenants (id) values ('default');

-- A key is stored as the SHA-256 of what was shown once. It has 178 random bits, so nothing slower than a
-- plain hash is needed: there is no dictionary to try.
create table posthorn.keys (
  id integer generated always as identity primary key,
  -- Null: all tenants, which is what the scope `admin` means.
  tenant text references posthorn.tenants (id),
  hash bytea not null unique check (length(hash) = 32),
  -- The key's first characters, by which people recognize it.
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
comment on table posthorn.keys is 'API keys, as SHA-256, with their scopes.';
create index keys_of_tenant on posthorn.keys (tenant, id);

-- Event types --------------------------------------------------------------------------------------

create table posthorn.event_types (
  tenant text not null default 'default',
  name text not null check (name ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' and length(name) <= 128),
  description text,
  -- json instead of jsonb: it is shown as it was given, and may contain \u0000.
  schema json,
  example json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  archived_at timestamptz,
  primary key (tenant, name)
);
comment on table posthorn.event_types is 'Types of webhooks that a tenant has described.';

-- Subscriptions ------------------------------------------------------------------------------------

create table posthorn.subscriptions (
  id integer generated always as identity primary key,
  tenant text not null default 'default',
  url text not null check (url ~ '^https?://'),
  description text,
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- History keeps naming a deleted subscription, so its row stays, without its secrets.
  deleted_at timestamptz,

  status posthorn.subscription_status not null default 'active',
  -- Why it is paused or disabled, in words for people.
  status_reason text,
  status_changed_at timestamptz,
  -- Webhooks up to this one are being skipped; then it is active again. See src/subscriptions/enable.ts.
  skip_until uuid,

  -- Which of the webhooks that are sent by event type it gets. Exact types, `order.*`, or `*`; null: all
  -- types; an empty array: none, only what is sent to this subscription by its id.
  event_types text[],
  -- Null: webhooks of any channel and of none. Otherwise those that have one of these.
  channels text[],
  -- A condition on the data of the webhook. A trigger (check_filter) checks it and fills in the next two:
  -- the form in which it is tested, and how many steps it has, which is what it costs.
  filter jsonpath,
  filter_test jsonpath,
  filter_cost smallint,

  headers jsonb check (jsonb_typeof(headers) = 'object'),
  -- Written as POSTHORN_RETRY_SCHEDULE is; null: that setting.
  retry_schedule text,
  timeout_ms integer check (timeout_ms between 100 and 300000),
  max_in_flight integer check (max_in_flight between 1 and 10000),
  rate_limit integer check (rate_limit > 0),
  rate_limit_per_ms integer check (rate_limit_per_ms > 0),
  ordering posthorn.subscription_ordering not null default 'none',
  -- Its receiver has failed so often in a row that only probes are sent. A copy of what `circuits` says,
  -- kept by a trigger (follow_circuit).
  circuit_open boolean not null default false,
  -- Kept by a trigger (set_through_backlog).
  through_backlog boolean not null default false,

  -- Secrets are text: plain, or encrypted (`sealed:v1:…`, see src/lib/sealing.ts).
  secret text check (secret <> ''),
  -- Secrets that were replaced and still sign until their time, newest first: [{"secret": …, "until": …}].
  retired_secrets jsonb,
  -- Which kind of secret it is, for people: an encrypted one does not show it.
  signature_scheme text not null default 'hmac',
  -- A signature header besides those of Standard Webhooks, its format, and what is signed.
  signature_header text,
  signature_template text,
  signature_content text,
  -- How the source of /ingest signs its requests, and with which secret.
  verify jsonb,
  verify_secret text,

  constraint subscriptions_deleted_keeps_no_secret check (deleted_at is null or secret is null),
  constraint subscriptions_rate_has_time check ((rate_limit is null) = (rate_limit_per_ms is null)),
  constraint subscriptions_signature_scheme check (signature_scheme in ('hmac', 'ed25519')),
  constraint subscriptions_verify_has_secret check ((verify is null) = (verify_secret is null))
);
comment on table posthorn.subscriptions is 'A URL that gets webhooks, which ones, and how they are delivered.';
comment on column posthorn.subscriptions.through_backlog is
  'Whether its deliveries are held from the start and sent by the owner of its backlog. Kept by a trigger.';

-- The candidates for a webhook that is sent by event type.
create index subscriptions_of_tenant on posthorn.subscriptions (tenant) where deleted_at is null;
-- Lists and figures of a tenant, which count deleted subscriptions too.
create index subscriptions_by_tenant on posthorn.subscriptions (tenant, id);
-- The longest time limit of an attempt.
create index subscriptions_by_timeout on posthorn.subscriptions (timeout_ms)
  where timeout_ms is not null and deleted_at is null;
-- The few, among however many, that get operational webhooks (posthorn.send_operational_webhook).
create index subscriptions_operational on posthorn.subscriptions (tenant)
  where deleted_at is null and event_types && array['posthorn.*', 'posthorn.subscription.*',
    'posthorn.subscription.failing', 'posthorn.subscription.recovered', 'posthorn.subscription.disabled'];
create index subscriptions_skipping on posthorn.subscriptions (id) where skip_until is not null;

-- What is known of a receiver that fails. A row appears when a subscription's attempts have failed several
-- times in a row, and goes with the first success: while receivers are well, nothing is written here.
--
-- Who writes here locks the subscription's row first. So does everything that starts at `subscriptions`,
-- so the two never deadlock.
create table posthorn.circuits (
  subscription_id integer primary key,
  -- When the first attempt began of those that have failed since the last success.
  failing_since timestamptz not null,
  -- How many have failed, at least: a process reports them once a second.
  failures integer not null,
  last_failed_at timestamptz not null,
  last_error_code text,
  last_error text,
  -- Null: the circuit is closed. Otherwise all that is owed is held, and one delivery at a time, the
  -- oldest, is sent as a probe. See src/health/circuits.ts.
  opened_at timestamptz,
  -- When the next probe may be sent, and how long after a failed one the next is: it doubles each time.
  probe_at timestamptz,
  probe_interval_ms integer,
  -- When posthorn.subscription.failing was sent. Only then is posthorn.subscription.recovered sent too.
  told_at timestamptz,
  check ((opened_at is null) = (probe_at is null) and (opened_at is null) = (probe_interval_ms is null))
);
comment on table posthorn.circuits is 'Subscriptions whose attempts fail, and whether only probes are sent to them.';

-- Subscriptions with held deliveries, and who sends them: see src/backlog/backlogs.ts. While a
-- subscription is `through_backlog`, its row is here. Intake does not write to it: the transaction of an
-- application that sends and stays open would stop everything that is sent to the same subscription.
create table posthorn.backlogs (
  subscription_id integer primary key,
  -- When deliveries were last held. Who deletes the row must have seen the latest.
  added_at timestamptz not null default clock_timestamp(),
  -- The pool_id of a worker. If that worker no longer exists, nobody owns the backlog.
  owner text,
  owned_at timestamptz
);
comment on table posthorn.backlogs is 'Subscriptions with held deliveries, and which worker sends them.';

-- Worker processes that are alive. Each holds the advisory lock (1347637332, id) on its own session, so its
-- end is noticed at once, for whatever reason it ended. See src/maintenance/presence.ts.
create table posthorn.workers (
  id integer generated by default as identity primary key,
  -- graphile-worker's name for the pool that locks jobs.
  pool_id text not null unique,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  -- When it last reported that it is alive, which it does every five seconds.
  seen_at timestamptz not null default clock_timestamp(),
  -- Open requests by subscription, as of `seen_at`.
  in_flight jsonb
);
comment on table posthorn.workers is 'Worker processes that are alive.';

-- History ------------------------------------------------------------------------------------------

create table posthorn.webhook_payloads (
  -- A new UUIDv7 by default: schema/functions/uuidv7.sql.
  id uuid not null primary key,
  accepted_at timestamptz not null default now(),
  tenant text not null default 'default',
  event_type text,
  content_type text not null,
  channels text[],
  -- At subscriptions with strict order, webhooks with the same key wait for each other; those without a
  -- key wait for all others without one.
  ordering_key text,
  -- Byte for byte as received, because signatures cover bytes; the view `webhooks` has it as jsonb. Null
  -- once the retention of bodies is over, which may be shorter than that of the history.
  body bytea
) partition by range (id);
comment on table posthorn.webhook_payloads is 'An accepted webhook. Its id is the webhook_id.';
-- Lists of a tenant's webhooks. Where there is only the default tenant, it is empty and costs nothing.
create index webhook_payloads_of_tenant on posthorn.webhook_payloads (tenant, id)
  where tenant <> 'default';

create table posthorn.deliveries (
  webhook_id uuid not null,
  -- When the next attempt is due, by the database's clock; null once the delivery has ended.
  next_attempt_at timestamptz default now(),
  ended_at timestamptz,
  subscription_id integer not null,
  state posthorn.delivery_state not null default 'pending',
  attempt_count smallint not null default 0,
  -- How many of its attempts were probes that failed: they use up nothing of its schedule.
  probe_count smallint not null default 0,
  -- How many attempts it had when it was last made owed again, after it had ended; null: never. Attempts
  -- count on, so that its history has no gaps and no number twice; its schedule starts anew from here.
  schedule_offset smallint,
  -- Whether the queue has a job for it. A retry that is far off gets its job when it is near: the queue is
  -- fetched from thousands of times a minute, and Postgres before 18 would read all that waits in it
  -- each time.
  queued boolean not null default true,
  -- Why it ended, where no attempt says so: expired, skipped.
  reason text,
  primary key (webhook_id, subscription_id)
) partition by range (webhook_id);
comment on table posthorn.deliveries is 'A webhook owed to a subscription: the truth about what is owed.';

-- Lists of one subscription, newest first.
create index deliveries_by_subscription on posthorn.deliveries (subscription_id, webhook_id);
-- What is owed: queue depth, the oldest that is due, cancelling a subscription's deliveries, and whether a
-- day may be dropped.
create index deliveries_owed on posthorn.deliveries (next_attempt_at, subscription_id)
  where state in ('pending', 'held');
-- Retries that are too far off for the queue, by when they are due.
create index deliveries_unqueued on posthorn.deliveries (next_attempt_at)
  where state = 'pending' and not queued;
-- What is held, in the order in which it will be sent.
create index deliveries_held on posthorn.deliveries (subscription_id, webhook_id)
  where state = 'held';
-- What failed for good or was cancelled, which people look for first.
create index deliveries_unsuccessful on posthorn.deliveries (webhook_id, subscription_id)
  where state in ('failed', 'cancelled');
create index deliveries_unsuccessful_by_subscription on posthorn.deliveries (subscription_id, webhook_id)
  where state in ('failed', 'cancelled');

create sequence posthorn.delivery_attempts_id_seq;
create table posthorn.delivery_attempts (
  id bigint not null default nextval('posthorn.delivery_attempts_id_seq'),
  -- When the attempt ended, by the database's clock.
  at timestamptz not null default clock_timestamp(),
  webhook_id uuid not null,
  subscription_id integer not null,
  duration_ms integer not null,
  -- Null for a duplicate: the worker had lost its claim, and made the request after the delivery had been
  -- decided or taken over.
  attempt_number smallint,
  response_code smallint,
  status posthorn.attempt_status not null,
  -- A precise word for programs (`timeout_connect`, `http_status`), and a sentence for people.
  error_code text,
  error text,
  -- The first KiB of the answer.
  response_excerpt text,
  unique (webhook_id, subscription_id, attempt_number)
) partition by range (webhook_id);
alter sequence posthorn.delivery_attempts_id_seq owned by posthorn.delivery_attempts.id;
comment on table posthorn.delivery_attempts is 'One HTTP request of a delivery.';

create index delivery_attempts_by_time on posthorn.delivery_attempts (at);
create index delivery_attempts_by_subscription on posthorn.delivery_attempts (subscription_id, at);
-- Failures, which people look for first.
create index delivery_attempts_unsuccessful on posthorn.delivery_attempts (at)
  where status <> 'success';
create index delivery_attempts_unsuccessful_by_subscription on posthorn.delivery_attempts (subscription_id, at)
  where status <> 'success';

-- Up to which webhook the bodies were made null, in the order of ids: for a tenant with a retention of its
-- own, and ('') for all others. See src/maintenance/bodies.ts.
create table posthorn.expired_bodies (
  tenant text primary key,
  through_id uuid not null
);
comment on table posthorn.expired_bodies is 'Up to which webhook bodies have been erased, by tenant.';
-- Bodies whose retention was over while one of their deliveries was owed: they are looked at again.
create table posthorn.overdue_bodies (
  webhook_id uuid primary key
);
comment on table posthorn.overdue_bodies is 'Webhooks whose body is to be erased once nothing of them is owed.';

-- Idempotency --------------------------------------------------------------------------------------

-- A key is exact because of an advisory lock: who holds it reads and writes the key's row, and who does
-- not get it at once is told so and waits for nobody. An application's open transaction that has sent with
-- a key therefore stops nobody else.
--
-- Partitioned by day, each dropped when its last row is a day old: a thousand keys a second are 86 million
-- rows. The unique index (key, tenant) is on each day: on the whole table it would need the time in it.
create table posthorn.idempotency_keys (
  created_at timestamptz not null default clock_timestamp(),
  -- "C", because they are only compared for equality; a locale's rules would cost more.
  tenant text collate "C" not null,
  key text collate "C" not null,
  -- SHA-256 of the request.
  fingerprint bytea not null,
  -- The answer, in the order of the request.
  webhook_ids uuid[] not null,
  deliveries integer[] not null
) partition by range (created_at);
comment on table posthorn.idempotency_keys is
  'Idempotency keys of the last 24 hours, and what was answered.';

-- Bulk operations ----------------------------------------------------------------------------------

-- Each batch of a task commits its changes and its position in one transaction, so another worker goes on
-- from there after a crash.
create table posthorn.tasks (
  -- A new UUIDv7 by default: schema/functions/uuidv7.sql.
  id uuid primary key,
  tenant text not null,
  kind text not null check (kind in ('replay', 'recover', 'cancel', 'delete')),
  state text not null default 'waiting'
    check (state in ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Which deliveries: of this subscription (null: of all), of webhooks from the first id to before the
  -- second, in one of these states, of one of these types (patterns; null: of all).
  subscription_id integer,
  since_id uuid not null,
  until_id uuid not null,
  states posthorn.delivery_state[] not null,
  event_types text[],
  -- Deliveries a second. Null: as fast as the batches go.
  rate integer check (rate > 0),
  -- The position after which the next batch begins; null before the first. Owed deliveries are processed in
  -- the order of when they are due, others in that of their ids.
  cursor_at timestamptz,
  cursor_webhook uuid,
  cursor_subscription integer,
  -- How many deliveries were looked at, and how many were changed.
  examined bigint not null default 0,
  changed bigint not null default 0,
  -- When the next batch is due.
  due_at timestamptz not null default now(),
  created_at timestamptz not null default now(),
  started_at timestamptz,
  ended_at timestamptz,
  -- Why it failed.
  error text
);
comment on table posthorn.tasks is 'Work on many deliveries, done in batches by the workers.';
create index tasks_of_tenant on posthorn.tasks (tenant, id);
create index tasks_unfinished on posthorn.tasks (due_at) where state in ('waiting', 'running');

-- Sending from SQL ---------------------------------------------------------------------------------

-- A table, because any caller could change a setting (GUC). The service writes POSTHORN_MAX_BODY into it
-- when it starts: a body that is too large for every worker to load must not get in by SQL either.
create table posthorn.limits (
  is_only_row boolean primary key default true check (is_only_row),
  max_body_bytes bigint not null default 1048576 check (max_body_bytes > 0),
  updated_at timestamptz not null default now()
);
comment on table posthorn.limits is
  'One row: the limits that SQL enforces as HTTP does, as the process that started last has set them.';
insert into posthorn.limits default values;

-- Applications that send from SQL are members of this role, which may call posthorn.send and send_many and
-- nothing else. Roles belong to the whole server, so another database may have made it. On a server where
-- we may create none, the rights are granted by hand, as docs/sending-from-sql.md says.
do $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = 'posthorn_sender') then
    create role posthorn_sender nologin;
  end if;
exception
  when insufficient_privilege or duplicate_object or unique_violation then null;
end
$$;
do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'posthorn_sender') then
    grant usage on schema posthorn to posthorn_sender;
  end if;
end
$$;
