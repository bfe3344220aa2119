-- 0001: types, tables and indexes, and the rows and the role that exist from the start.
--
-- Functions and views are in the files of schema/functions/ and schema/views/. Posthorn applies a file after
-- the migrations when its text has changed. A function's file also creates the triggers and the column defaults
-- that call the function, so nothing here needs a function.
--
-- The ideas behind the tables:
-- * `deliveries` is the truth; a graphile-worker job is only a wake-up. A job that is lost, doubled or stuck
--   therefore never loses a webhook.
-- * The history (webhook_payloads, deliveries, delivery_attempts) is partitioned by the webhook's id, a UUIDv7,
--   which begins with its time. The three tables have the same bounds, so a day's webhooks, deliveries and
--   attempts are dropped together: a DROP TABLE takes milliseconds, a DELETE took hours.
--   posthorn.ensure_partitions creates the partitions a week ahead.
-- * An index is partial if queries need few of the rows: unfinished, held or failed deliveries. It stays small
--   compared with the history, and costs almost nothing while receivers are well.
-- * History has no foreign keys. One function writes its three tables together, and a check for each row
--   would cost a lock and an index lookup in the most frequent statement. Deleted subscriptions, tenants and
--   keys keep their rows, because history still refers to them.
-- * The tenant of a subscription is not a foreign key either: a trigger (require_tenant) also refuses a
--   deleted tenant, and locks the tenant's row against a deletion at the same moment.
--
-- The order of the columns of history matters: wide columns of fixed size first, the body last. So rows have
-- little padding, and reading the other columns does not pass over the body.
-- Locks: only new objects.

create type posthorn.delivery_state as enum ('pending', 'held', 'succeeded', 'failed', 'cancelled');
create type posthorn.attempt_status as enum ('success', 'failed', 'timeout', 'blocked');
create type posthorn.subscription_status as enum ('active', 'paused', 'disabled');
create type posthorn.subscription_ordering as enum ('none', 'strict');

-- Tenants and keys ---------------------------------------------------------------------------------

-- A deleted tenant keeps its row, so that its id is never used again: its history stays until the retention is
-- over, and a new tenant with that id would see it.
create table posthorn.tenants (
  id text primary key,
  name text,
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  -- How long its payloads and answers are kept, if shorter than POSTHORN_PAYLOAD_RETENTION; null: that setting.
  retention_ms bigint check (retention_ms > 0),
  -- Accept only registered event types; accept only data that matches the schema of its event type.
  strict_event_types boolean not null default false,
  validate_event_types boolean not null default false,
  -- Who may embed its portal, and how the portal looks: {"origins": […], "logo": …, "accent": …, "header": …, "mode": …}.
  portal jsonb check (jsonb_typeof(portal) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,
  -- From then on nothing is accepted for it in this database, because it lives, or will live, in another one:
  -- schema/functions/close_tenant.sql.
  closed_at timestamptz,
  constraint tenants_default_stays check (id <> 'default' or deleted_at is null)
);
comment on table posthorn.tenants is
  'The owners of subscriptions, webhooks, deliveries and keys. Where no tenant is named, it is `default`.';
insert into posthorn.tenants (id) values ('default');

-- A key is shown once and stored as its SHA-256. It has 178 random bits, which no dictionary contains, so a slow
-- hash function is not needed.
create table posthorn.keys (
  id integer generated always as identity primary key,
  -- Null: all tenants, which the scope `admin` means.
  tenant text references posthorn.tenants (id),
  hash bytea not null unique check (length(hash) = 32),
  -- The first characters of the key, by which people recognise it.
  hint text not null,
  name text,
  environment text not null check (environment in ('live', 'test')),
  scopes text[] not null
    check (cardinality(scopes) > 0 and scopes <@ array['read', 'send', 'pull', 'manage', 'admin']),
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  -- Up to a minute too early.
  last_used_at timestamptz,
  revoked_at timestamptz,
  constraint keys_admin_is_of_all_tenants check ((tenant is null) = ('admin' = any (scopes)))
);
comment on table posthorn.keys is 'API keys, as SHA-256, with their scopes.';
create index keys_of_tenant on posthorn.keys (tenant, id);

-- A browser has a random token in a cookie, and the table has a hash of it (src/sessions/tokens.ts says which).
create table posthorn.sessions (
  hash bytea primary key check (length(hash) = 32),
  -- The key that opened it; null: the admin key, or none if none is required. A session of the dashboard has the access
  -- of that key, and no session outlives it.
  key_id integer references posthorn.keys (id),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  -- Of a session in the portal: the tenant that it is limited to, and what it may do and show there.
  portal_tenant text references posthorn.tenants (id),
  portal jsonb,
  -- The public part of the link to the portal, and until when the link may be opened; null: it was opened. Until then
  -- the hash is that of the token in the link.
  link_id uuid unique,
  open_until timestamptz,
  constraint sessions_portal_is_of_tenant check ((portal_tenant is null) = (portal is null)),
  constraint sessions_link_is_to_portal check (open_until is null or link_id is not null)
);
comment on table posthorn.sessions is 'Browsers that are signed in to the dashboard or the portal, and links to the portal.';
-- For limiting their number.
create index sessions_of_key on posthorn.sessions (coalesce(key_id, 0), created_at) where portal_tenant is null;
create index sessions_of_portal on posthorn.sessions (portal_tenant, created_at) where portal_tenant is not null;

-- Placement ----------------------------------------------------------------------------------------

-- The directory of several Posthorns that share tenants among their databases. One of the databases has it
-- (POSTHORN_DIRECTORY_URL); in all others these tables are empty. See docs/placement.md.

create table posthorn.homes (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  api_url text not null check (api_url ~ '^https?://[^/]+$'),
  -- The first id that its database gives to a subscription or a key.
  first_id integer not null unique,
  -- The id of the key that encrypts its secrets (src/lib/sealing.ts); null: none does.
  encryption_key text,
  joined_at timestamptz not null default now()
);
comment on table posthorn.homes is 'The Posthorns that tenants may live in, each with a database of its own.';

create table posthorn.placements (
  tenant text primary key,
  home text not null references posthorn.homes (name),
  -- How often it has moved, counted from 1.
  epoch integer not null default 1,
  -- While it is true, requests that may change something of the tenant wait.
  moving boolean not null default false
);
comment on table posthorn.placements is 'The home of each tenant: the Posthorn whose database it lives in.';

-- For requests with a key that their Posthorn does not know.
create table posthorn.placed_keys (
  hash bytea primary key check (length(hash) = 32),
  tenant text not null
);
comment on table posthorn.placed_keys is 'The tenants of keys, as SHA-256, of all homes.';

-- Where its tenant has not moved, the range of its id says where a subscription is.
create table posthorn.placed_subscriptions (
  id integer primary key,
  tenant text not null
);
comment on table posthorn.placed_subscriptions is 'Subscriptions of tenants that have moved, for requests to /ingest.';

-- What `posthorn tenants move` does next, so that it goes on when it is run again (src/placement/move.ts). The row goes
-- when all is done.
create table posthorn.moves (
  tenant text primary key,
  source text not null references posthorn.homes (name),
  target text not null references posthorn.homes (name),
  phase text not null check (phase in ('prepare', 'copy', 'pause', 'close', 'open', 'clean up', 'undo')),
  started_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  -- Why it broke off last.
  error text
);
comment on table posthorn.moves is 'Tenants that are being moved from one home to another, and how far that has come.';

-- Event types --------------------------------------------------------------------------------------

create table posthorn.event_types (
  tenant text not null default 'default',
  name text not null check (name ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' and length(name) <= 128),
  description text,
  -- json instead of jsonb: it keeps the text as given, and may contain \u0000.
  schema json,
  example json,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  archived_at timestamptz,
  primary key (tenant, name),
  -- /v1/event-types/{name} is another route for these.
  constraint event_types_name_is_no_route check (name not in ('import', 'openapi.json'))
);
comment on table posthorn.event_types is 'Types of webhooks that a tenant has described.';

-- Subscriptions ------------------------------------------------------------------------------------

create table posthorn.subscriptions (
  id integer generated always as identity primary key,
  tenant text not null default 'default',
  -- Null: its receiver pulls its webhooks (GET /v1/subscriptions/{id}/pull). `mailto:`: a notice is sent as an e-mail.
  url text check (url ~ '^https?://' or url ~ '^mailto:' and format = 'notice'),
  -- webhook, or notice: it gets the notices of Posthorn to people, and nothing else. These have a channel, so that
  -- operational webhooks, which have none, do not match.
  format text not null default 'webhook'
    check (format = 'webhook' or format = 'notice' and channels = '{posthorn.notices}' and event_types is not null),
  description text,
  metadata jsonb check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- History still refers to a deleted subscription, so its row stays, without its secrets.
  deleted_at timestamptz,

  status posthorn.subscription_status not null default 'active',
  -- Why it is paused or disabled, as a sentence.
  status_reason text,
  status_changed_at timestamptz,
  -- The deliveries of webhooks up to this id are being skipped; after that, the subscription is active again.
  -- See src/subscriptions/enable.ts.
  skip_until uuid,

  -- The event types that it gets: exact types, `order.*`, or `*`; null: all types; an empty array: none, so it
  -- gets only webhooks that are sent to its id.
  event_types text[],
  -- Null: webhooks with any channels or none. Otherwise only webhooks with one of these channels.
  channels text[],
  -- A condition on the data of a webhook. A trigger (check_filter) checks it and sets filter_test, the form in
  -- which it is tested, and filter_cost, the number of its steps.
  filter jsonpath,
  filter_test jsonpath,
  filter_cost smallint,

  headers jsonb check (jsonb_typeof(headers) = 'object'),
  -- In the format of POSTHORN_RETRY_SCHEDULE; null: that setting.
  retry_schedule text,
  timeout_ms integer check (timeout_ms between 100 and 300000),
  max_in_flight integer check (max_in_flight between 1 and 10000),
  rate_limit integer check (rate_limit > 0),
  rate_limit_per_ms integer check (rate_limit_per_ms > 0),
  ordering posthorn.subscription_ordering not null default 'none',
  -- Only probes are sent, because its receiver has failed often in a row. A trigger (follow_circuit) copies
  -- this from `circuits`.
  circuit_open boolean not null default false,
  -- Set by a trigger (set_through_backlog).
  through_backlog boolean not null default false,

  -- Secrets are text: plain, or encrypted (`sealed:v1:…`, see src/lib/sealing.ts).
  secret text check (secret <> ''),
  -- Replaced secrets, which still sign until the given time, newest first: [{"secret": …, "until": …}].
  retired_secrets jsonb,
  -- The kind of the secret, because an encrypted secret does not show it.
  signature_scheme text not null default 'hmac',
  -- A custom signature header, the template of its value, and the template of the signed content.
  signature_header text,
  signature_template text,
  signature_content text,
  -- How the source that calls /ingest signs its requests, and its secret.
  verify jsonb,
  verify_secret text,
  -- The headers of the source's request that deliveries get, and the content types that /ingest takes besides
  -- JSON. Null: those of the source in `verify` (src/signing/verify/sources.ts).
  forward_headers text[],
  ingest_content_types text[],
  -- Without a URL: it is deleted when nobody has pulled for this time. Null: never.
  expire_after_ms bigint check (expire_after_ms between 120000 and 31536000000),

  constraint subscriptions_deleted_keeps_no_secret check (deleted_at is null or secret is null),
  constraint subscriptions_rate_has_time check ((rate_limit is null) = (rate_limit_per_ms is null)),
  constraint subscriptions_signature_scheme check (signature_scheme in ('hmac', 'ed25519')),
  constraint subscriptions_verify_has_secret check ((verify is null) = (verify_secret is null)),
  constraint subscriptions_expires_unpulled check (expire_after_ms is null or url is null)
);
comment on table posthorn.subscriptions is 'The URL of a receiver, or null if it pulls; its selection of webhooks, and its delivery options.';
comment on column posthorn.subscriptions.through_backlog is
  'Whether its deliveries are held from the start and sent by the owner of its backlog. Set by a trigger.';

-- For lists and figures of a tenant, which include deleted subscriptions.
create index subscriptions_by_tenant on posthorn.subscriptions (tenant, id);
-- For finding the longest time limit of an attempt.
create index subscriptions_by_timeout on posthorn.subscriptions (timeout_ms)
  where timeout_ms is not null and deleted_at is null;
-- For counting them at each scrape of the metrics.
create index subscriptions_disabled on posthorn.subscriptions (id) where status = 'disabled' and deleted_at is null;
create index subscriptions_skipping on posthorn.subscriptions (id) where skip_until is not null;
create index subscriptions_pulled on posthorn.subscriptions (id) where url is null and deleted_at is null;
create index subscriptions_temporary on posthorn.subscriptions (id)
  where expire_after_ms is not null and deleted_at is null;

-- Which subscriptions a webhook that is sent by event type goes to, as rows: an event type or pattern with a
-- channel each. So a lookup reads only the subscriptions that match both, of any number. A trigger
-- (store_event_types) keeps it equal to the columns event_types and channels of the subscriptions that are not
-- deleted.
create table posthorn.subscription_event_types (
  tenant text not null,
  -- An element of event_types; `*` also if that column is null, which matches the same types.
  event_type text not null,
  -- An element of channels; empty if that column is null, which matches any channels and none.
  channel text not null,
  subscription_id integer not null,
  primary key (tenant, event_type, channel, subscription_id)
);
comment on table posthorn.subscription_event_types is
  'The event types and channels of each subscription, as rows, for finding those that match a webhook.';

-- The record of a failing receiver. A row is inserted when a subscription's attempts have failed several times
-- in a row, and deleted at the first success. While receivers are well, nothing is written here.
--
-- Every writer locks the row of the subscription first. Statements that start at `subscriptions` do so too, so
-- the two never deadlock.
create table posthorn.circuits (
  subscription_id integer primary key,
  -- When the first failed attempt since the last success began.
  failing_since timestamptz not null,
  -- How many attempts have failed since, at least: a process reports failures once a second.
  failures integer not null,
  -- How many of the last ones in a row, of all processes, count towards opening the circuit, and since when.
  down integer not null default 0,
  down_since timestamptz,
  last_failed_at timestamptz not null,
  last_error_code text,
  last_error text,
  -- Null: the circuit is closed. Otherwise the subscription's deliveries are held, and the oldest is sent as a
  -- probe, one at a time. See src/health/circuits.ts.
  opened_at timestamptz,
  -- When the next probe may be sent, and the time from a failed probe to the next, which doubles each time.
  probe_at timestamptz,
  probe_interval_ms integer,
  -- When posthorn.subscription.failing was sent. If it was not sent, posthorn.subscription.recovered is not
  -- sent either.
  told_at timestamptz,
  check ((opened_at is null) = (probe_at is null) and (opened_at is null) = (probe_interval_ms is null))
);
comment on table posthorn.circuits is 'Subscriptions whose receivers fail, and whether their circuits are open.';

-- The notices that were sent to people, so that there is one for each incident (schema/functions/send_notices.sql).
create table posthorn.notices (
  id bigint generated always as identity primary key,
  tenant text not null,
  -- The subscription that the notice is about.
  subscription_id integer not null,
  what text not null check (what in ('failing', 'disabled', 'recovered')),
  at timestamptz not null default now(),
  -- When it is delivered: later, if it says that a receiver is well.
  due_at timestamptz not null,
  -- The nth webhook goes to the nth subscription.
  webhooks uuid[] not null,
  targets integer[] not null
);
create index notices_by_tenant on posthorn.notices (tenant, at);
create index notices_by_subscription on posthorn.notices (subscription_id, id);
comment on table posthorn.notices is 'Notices about subscriptions that were sent to people in the last 30 days.';

-- Subscriptions with held deliveries, and the workers that own their backlogs: see src/backlog/backlogs.ts. A
-- subscription with `through_backlog` always has a row here. Intake does not write to this table: if an
-- application's transaction stayed open after sending, it would block all other sending to the subscription.
create table posthorn.backlogs (
  subscription_id integer primary key,
  -- When deliveries were last held. A worker deletes the row only if it has read the latest value.
  added_at timestamptz not null default clock_timestamp(),
  -- The pool_id of the owner. If that worker no longer exists, the backlog has no owner.
  owner text,
  owned_at timestamptz,
  -- Of a subscription without a URL, whose backlog has no owner: when its receiver pulled last, up to ten seconds too
  -- early, and when the requests so far would have been due at its rate limit.
  pulled_at timestamptz,
  rate_due_at timestamptz
);
comment on table posthorn.backlogs is 'Subscriptions with held deliveries, and the worker that owns the backlog of each.';

-- Held deliveries that receivers have pulled and not acknowledged yet. Such a delivery stays held and unchanged, so a
-- lease that is lost loses nothing. See schema/functions/lease_deliveries.sql.
create table posthorn.leases (
  subscription_id integer not null,
  webhook_id uuid not null,
  -- The attempt that this is.
  attempt_number smallint not null,
  -- A random number. The attempt is recorded with it, so an acknowledgement that is repeated is recognised.
  token integer not null,
  leased_at timestamptz not null default clock_timestamp(),
  ends_at timestamptz not null,
  primary key (subscription_id, webhook_id)
);
comment on table posthorn.leases is 'Held deliveries that receivers have pulled and not acknowledged yet.';
-- For leases that have ended.
create index leases_by_end on posthorn.leases (ends_at);

-- Worker processes that are alive. Each holds the advisory lock (1347637332, id) on its own session, so other
-- workers notice its end at once, whatever the reason. See src/maintenance/worker-lease.ts.
create table posthorn.workers (
  id integer generated by default as identity primary key,
  -- The name under which graphile-worker's pool locks jobs.
  pool_id text not null unique,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  -- When it last reported that it is alive, which it does every five seconds.
  seen_at timestamptz not null default clock_timestamp(),
  -- Attempts of the process that have begun and are not recorded yet, by subscription. All rows of a process have the same.
  in_flight jsonb,
  -- The latest questions (src/placement/drain.ts) that it had heard, and acted on, before it counted in_flight.
  answered text[] not null default '{}'
);
comment on table posthorn.workers is 'Worker processes that are alive.';

-- History ------------------------------------------------------------------------------------------

create table posthorn.webhook_payloads (
  -- A new UUIDv7 by default: schema/functions/uuidv7.sql.
  id uuid not null primary key,
  -- When it was sent: the time in its id. The transaction of an application that sends from SQL may have begun long
  -- before, and may commit long after; Postgres does not know the time of its commit yet.
  accepted_at timestamptz not null default now(),
  -- When it is to be delivered, if its sender gave a time that was in the future. Null: at once.
  deliver_at timestamptz,
  tenant text not null default 'default',
  event_type text,
  content_type text not null,
  channels text[],
  -- With strict order, webhooks with the same key wait for each other; webhooks without a key wait for each
  -- other too.
  ordering_key text,
  -- Headers that deliveries get, by their names in lower case: given by the sender, or those of the source's request.
  -- Null: none.
  headers jsonb,
  -- True: jsonb cannot hold the data, so subscriptions with filters did not get the webhook. Null otherwise.
  unfilterable boolean,
  -- Byte for byte as received, because signatures cover bytes; the view `webhooks` has it as jsonb. Null
  -- after the retention of payloads, which may be shorter than that of history.
  body bytea
) partition by range (id);
comment on table posthorn.webhook_payloads is 'Accepted webhooks. The id is the webhook_id of other tables.';
-- For lists of a tenant's webhooks. With only the default tenant it is empty and costs nothing.
create index webhook_payloads_of_tenant on posthorn.webhook_payloads (tenant, id)
  where tenant <> 'default';

create table posthorn.deliveries (
  webhook_id uuid not null,
  -- When the next attempt is due, by the database's clock; null once the delivery has ended.
  next_attempt_at timestamptz default now(),
  ended_at timestamptz,
  subscription_id integer not null,
  state posthorn.delivery_state not null default 'pending',
  -- The number of the worker that accepted it, has it in memory and sends it without a job; null: it waits for a job.
  -- Only for the first attempt. See src/sending/hand-over.ts.
  handed_to integer,
  attempt_count smallint not null default 0,
  -- How many of its attempts were failed probes, which do not count in its retry schedule.
  probe_count smallint not null default 0,
  -- The number of attempts at which its retry schedule started again, because a retry or a replay made the ended
  -- delivery unfinished again; null: never. Attempts are counted on, so no number is missing or used twice.
  schedule_offset smallint,
  -- Whether the queue has a job for it, or `handed_to` has it. A retry or a scheduled delivery that is more than a
  -- minute away gets its job later: workers fetch from the queue thousands of times a minute, and Postgres before 18 would read all waiting
  -- jobs each time.
  queued boolean not null default true,
  -- Why it ended, if no attempt shows it: expired, skipped.
  reason text,
  primary key (webhook_id, subscription_id)
) partition by range (webhook_id);
comment on table posthorn.deliveries is 'The sending of one webhook to one subscription: its state, its attempts, and when the next attempt is due.';

-- For lists of one subscription, newest first.
create index deliveries_by_subscription on posthorn.deliveries (subscription_id, webhook_id);
-- Unfinished deliveries: for the queue depth, the oldest due delivery, cancelling a subscription's deliveries, and
-- whether a day may be dropped. The state is in it so that a search for pending deliveries passes over a backlog,
-- which is all overdue, without looking at its rows. The state is not first: then the planner would find this
-- index as good as `deliveries_held` on a calm day, and later read it whole for each subscription.
create index deliveries_owed on posthorn.deliveries (next_attempt_at, state, subscription_id)
  where state in ('pending', 'held');
-- Retries and scheduled deliveries that have no job yet, by the time at which they are due.
create index deliveries_unqueued on posthorn.deliveries (next_attempt_at)
  where state = 'pending' and not queued;
-- Held deliveries, in the order in which they will be sent.
create index deliveries_held on posthorn.deliveries (subscription_id, webhook_id)
  where state = 'held';
-- Failed and cancelled deliveries, which people look for first.
create index deliveries_unsuccessful on posthorn.deliveries (webhook_id, subscription_id)
  where state in ('failed', 'cancelled');
create index deliveries_unsuccessful_by_subscription on posthorn.deliveries (subscription_id, webhook_id)
  where state in ('failed', 'cancelled');
-- For figures, which count those that failed in a window, however many failed before it.
create index deliveries_failed on posthorn.deliveries (subscription_id, ended_at)
  where state = 'failed';

create sequence posthorn.delivery_attempts_id_seq;
create table posthorn.delivery_attempts (
  id bigint not null default nextval('posthorn.delivery_attempts_id_seq'),
  -- When the attempt ended, by the database's clock.
  at timestamptz not null default clock_timestamp(),
  webhook_id uuid not null,
  subscription_id integer not null,
  duration_ms integer not null,
  -- From the open connection until the head of the answer had come, or the attempt had ended. Null: no request was sent.
  first_byte_ms integer,
  -- The header webhook-timestamp of the request, by the clock of the worker. Null: no request was sent.
  webhook_timestamp integer,
  -- A random number that its worker chose. If the answer to its recording was lost, it is recorded again with
  -- the same token, and stays one row.
  token integer,
  -- Null for a late attempt: its worker was taken for dead, and another worker had changed the delivery before
  -- the attempt was recorded.
  attempt_number smallint,
  response_code smallint,
  status posthorn.attempt_status not null,
  -- How long connecting took, phase by phase; 32767: that long or longer. Null: there was no such phase, or the attempt
  -- ended before it; a phase in which it ended has the time until then. A kept connection has none. What is left of
  -- duration_ms was spent reading the answer. See src/http/phase-clock.ts.
  dns_ms smallint,
  connect_ms smallint,
  tls_ms smallint,
  -- A code for programs (`timeout_connect`, `http_status`), and a sentence for people.
  error_code text,
  error text,
  -- The first KiB of the answer.
  response_excerpt text,
  unique (webhook_id, subscription_id, attempt_number)
) partition by range (webhook_id);
alter sequence posthorn.delivery_attempts_id_seq owned by posthorn.delivery_attempts.id;
-- Logical replication finds a row by its columns, since only erasing answers ever updates rows: an index on the
-- id would cost every attempt. posthorn.create_partition sets it for each partition.
alter table posthorn.delivery_attempts replica identity full;
comment on table posthorn.delivery_attempts is 'Attempts: tries to send a delivery, each with its outcome.';

create index delivery_attempts_by_time on posthorn.delivery_attempts (at);
create index delivery_attempts_by_subscription on posthorn.delivery_attempts (subscription_id, at);
-- Unsuccessful attempts, which people look for first.
create index delivery_attempts_unsuccessful on posthorn.delivery_attempts (at)
  where status <> 'success';
create index delivery_attempts_unsuccessful_by_subscription on posthorn.delivery_attempts (subscription_id, at)
  where status <> 'success';

-- Partitions of deliveries and attempts that nobody expects to change: no delivery is unfinished. What is unfinished or
-- recent is looked for in the other partitions only (src/db/live-history.ts), however many there are. A trigger on quiet
-- partitions wakes them in the transaction of whoever writes to them (posthorn.wake_history).
create table posthorn.quiet_history (
  from_at timestamptz primary key,
  until_at timestamptz not null,
  -- When the last of its attempts and deliveries ended.
  last_ended_at timestamptz
);
create index quiet_history_by_end on posthorn.quiet_history (last_ended_at);
comment on table posthorn.quiet_history is
  'Partitions without unfinished deliveries, and when the last of their attempts and deliveries ended.';
-- A row for each transaction that wakes a partition, so that none of them waits for another.
create table posthorn.woken_history (
  id bigint generated always as identity primary key,
  from_at timestamptz not null,
  -- The views for receivers that pull have it: see posthorn.write_live_views.
  in_views boolean not null default false
);
comment on table posthorn.woken_history is
  'Partitions of quiet_history that were written to since, and so are not quiet.';

-- The last webhook, in the order of ids, up to which bodies were erased: for each tenant with its own retention,
-- and ('') for all others. See src/maintenance/erase-bodies.ts.
create table posthorn.expired_bodies (
  tenant text primary key,
  through_id uuid not null
);
comment on table posthorn.expired_bodies is 'The webhook up to which bodies have been erased, by tenant.';
-- Webhooks whose retention was over while a delivery was unfinished: their bodies are erased later.
create table posthorn.overdue_bodies (
  webhook_id uuid primary key
);
comment on table posthorn.overdue_bodies is 'Webhooks whose body is erased when all their deliveries have ended.';

-- Marks for posthorn.committed_before: at this time, no transaction with this number or a higher one had begun to write.
-- A service writes one each second in which something was written (maintenance/commit-marks.ts). They are kept for an
-- hour, or for as long as a transaction from before stays open.
create table posthorn.commit_marks (
  xid xid8 primary key,
  at timestamptz not null
);
comment on table posthorn.commit_marks is
  'When transactions with numbers from xid on began to write, at the earliest.';

-- Idempotency --------------------------------------------------------------------------------------

-- An advisory lock protects each key: only a transaction that holds the lock reads and writes the key's row. A
-- transaction that does not get the lock at once is refused instead of waiting. So an open transaction that has
-- sent with a key stops nobody else.
--
-- Partitioned by day; a day is dropped when its last row is a day old. (A thousand keys a second are 86 million
-- rows a day.) The unique index (key, tenant) is on each day, because on the whole table it would have to contain
-- created_at.
create table posthorn.idempotency_keys (
  created_at timestamptz not null default clock_timestamp(),
  -- "C", because keys are only compared for equality, and the rules of a locale would cost more.
  tenant text collate "C" not null,
  key text collate "C" not null,
  -- SHA-256 of the request.
  fingerprint bytea not null,
  -- The answer, with the webhooks in the order of the request.
  webhook_ids uuid[] not null,
  deliveries integer[] not null
) partition by range (created_at);
comment on table posthorn.idempotency_keys is
  'Idempotency keys of the last 24 hours, and the answers to their requests.';

-- Counts -------------------------------------------------------------------------------------------

-- What happened in each minute and hour. Workers add a minute when no transaction that could still change it is open
-- (src/history/count.sql.ts), so the numbers are exact, and they stay when the history that they count is dropped.
-- All numbers of a tenant or a subscription in a minute or an hour are in one row. With many subscriptions, few have
-- more than one delivery in an hour: rows for single numbers cost 84 instead of 45 µs of CPU a webhook (*measured*).

-- Of each tenant, for two days.
create table posthorn.counts_by_minute (
  tenant text not null,
  minute timestamptz not null,
  -- Webhooks.
  accepted bigint not null,
  -- Attempts by their status.
  success bigint not null,
  failed bigint not null,
  timeout bigint not null,
  blocked bigint not null,
  -- The classes of the durations of these attempts, each at most once, and the number of attempts in each: see
  -- DURATION_CLASSES in src/history/count-rows.sql.ts.
  duration_classes smallint[] not null,
  duration_numbers bigint[] not null,
  primary key (tenant, minute)
);
comment on table posthorn.counts_by_minute is
  'The webhooks and attempts of each tenant in each minute of the last two days.';
-- For deleting old minutes. Rows are inserted in the order of time, so a few pages of it lead to them.
create index counts_by_minute_time on posthorn.counts_by_minute using brin (minute);

-- Of each tenant for 400 days, and of each subscription for 35 days.
create table posthorn.counts_by_hour (
  tenant text not null,
  -- 0: all subscriptions of the tenant.
  subscription_id integer not null,
  hour timestamptz not null,
  -- As in counts_by_minute, but of a subscription, `accepted` counts the deliveries that were created for it.
  accepted bigint not null,
  success bigint not null,
  failed bigint not null,
  timeout bigint not null,
  blocked bigint not null,
  duration_classes smallint[] not null,
  duration_numbers bigint[] not null,
  primary key (tenant, subscription_id, hour)
) with (fillfactor = 70);
comment on table posthorn.counts_by_hour is
  'The webhooks and attempts of each tenant (subscription_id 0) in each hour of the last 400 days, and of each subscription in each hour of the last 35 days.';
create index counts_by_hour_time on posthorn.counts_by_hour using brin (hour);

create table posthorn.counting (
  is_only_row boolean primary key default true check (is_only_row),
  -- All minutes from the first time on and before the second one are counted.
  counted_from timestamptz not null default date_trunc('minute', now()),
  counted_until timestamptz not null default date_trunc('minute', now())
);
comment on table posthorn.counting is 'One row: when counting began, and how far the counts have come.';
insert into posthorn.counting default values;

-- Bulk operations ----------------------------------------------------------------------------------

-- Each batch of a task commits its changes and its position in one transaction, so another worker continues
-- there after a crash.
create table posthorn.tasks (
  -- A new UUIDv7 by default: schema/functions/uuidv7.sql.
  id uuid primary key,
  tenant text not null,
  kind text not null check (kind in ('replay', 'recover', 'cancel', 'delete')),
  state text not null default 'waiting'
    check (state in ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
  -- The selected deliveries: of this subscription (null: of all), of webhooks from since_id to before until_id,
  -- in one of these states, of one of these event types (patterns; null: of all).
  subscription_id integer,
  since_id uuid not null,
  until_id uuid not null,
  states posthorn.delivery_state[] not null,
  event_types text[],
  -- Deliveries a second. Null: as fast as the batches go.
  rate integer check (rate > 0),
  -- The position after which the next batch begins; null before the first batch. Unfinished deliveries are
  -- processed in the order in which they are due, others in the order of their ids.
  cursor_at timestamptz,
  cursor_webhook uuid,
  cursor_subscription integer,
  -- How many deliveries were read, and how many were changed.
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
comment on table posthorn.tasks is 'Bulk operations on many deliveries, done in batches by the workers.';
create index tasks_of_tenant on posthorn.tasks (tenant, id);
create index tasks_unfinished on posthorn.tasks (due_at) where state in ('waiting', 'running');

-- Sending from SQL ---------------------------------------------------------------------------------

-- A table, because any caller could change a setting (GUC). The service writes POSTHORN_MAX_BODY into it when it
-- starts, so that SQL refuses bodies that a worker could not load, as HTTP does.
create table posthorn.limits (
  is_only_row boolean primary key default true check (is_only_row),
  max_body_bytes bigint not null default 1048576 check (max_body_bytes > 0),
  updated_at timestamptz not null default now()
);
comment on table posthorn.limits is
  'One row: the limits for sending from SQL, set by the process that started last.';
insert into posthorn.limits default values;

-- Rights of SQL ------------------------------------------------------------------------------------

-- By name, so that a restored backup has it on every server. If a limited role is renamed, it may do nothing.
create table posthorn.rights (
  role name not null,
  -- send: posthorn.send and its kin. read: the reports. manage: subscriptions and deliveries.
  may text not null check (may in ('send', 'read', 'manage')),
  -- Null: all tenants.
  tenants text[] check (cardinality(tenants) > 0),
  -- Whether it reads the bodies of webhooks and of answers.
  bodies boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (role, may),
  constraint rights_bodies_are_read check (may = 'read' or not bodies)
);
comment on table posthorn.rights is
  'What roles may do from SQL in this database, and for which tenants. posthorn.allow_sender, allow_reporter, allow_manager and their revoke_ functions change it.';

-- Watches ------------------------------------------------------------------------------------------

-- A watch is a function and its triggers on a table of the application (posthorn.watch). Its id is below the number
-- (oid) of any table of an application, so that posthorn.unwatch tells a watch from a table.
create sequence posthorn.watch_ids as integer maxvalue 16383 cycle;

create table posthorn.watch_failures (
  id bigint generated always as identity primary key,
  watch integer not null,
  at timestamptz not null default clock_timestamp(),
  -- How many webhooks were not sent.
  webhooks bigint not null,
  error text not null
);
comment on table posthorn.watch_failures is
  'Webhooks that watches with on_error => ''skip'' could not send. The workers merge old rows of a watch into one.';
create index watch_failures_of_watch on posthorn.watch_failures (watch, at);

-- Existing rows of a watched table that are being sent (posthorn.backfill). A role sees and changes only the rows
-- whose owner's rights it has. So nobody can make another role run a condition.
create table posthorn.backfill_runs (
  id integer generated always as identity primary key,
  watch integer not null,
  -- The owner of the table, with whose rights the rows are read.
  owner name not null,
  rel regclass not null,
  -- The options of the watch at its start, and the columns of its ordering key.
  options jsonb not null,
  key_columns text[],
  -- Which rows are sent. Null: all.
  condition text,
  per_second integer check (per_second > 0),
  state text not null default 'waiting' check (state in ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
  -- The position: the table or partition, how many blocks of it there were, and the row after which to go on.
  part regclass,
  part_blocks bigint not null default 0,
  after_row tid not null default '(0,0)',
  rows_sent bigint not null default 0,
  blocks_read bigint not null default 0,
  blocks bigint not null,
  -- When the next portion may be sent.
  due_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  error text
);
comment on table posthorn.backfill_runs is 'Existing rows of watched tables that are being sent, and how far that has come.';
create index backfill_runs_unfinished on posthorn.backfill_runs (due_at) where state in ('waiting', 'running');
alter table posthorn.backfill_runs enable row level security;
create policy of_owner on posthorn.backfill_runs
  using (exists (select from pg_roles r where r.rolname = owner and pg_has_role(r.oid, 'usage')));
