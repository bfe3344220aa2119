-- The schema of Posthorn, written by `npm run schema`: for reading and for review. Nothing runs it; what is
-- applied are migrations/, schema/functions/ and schema/views/.

create type posthorn.attempt_status as enum ('success', 'failed', 'timeout', 'blocked');

create type posthorn.delivery_state as enum ('pending', 'held', 'succeeded', 'failed', 'cancelled');

create type posthorn.subscription_ordering as enum ('none', 'strict');

create type posthorn.subscription_status as enum ('active', 'paused', 'disabled');

create sequence posthorn.delivery_attempts_id_seq as bigint;

create sequence posthorn.watch_ids as integer;

-- Existing rows of watched tables that are being sent, and how far that has come.
create table posthorn.backfill_runs (
  id integer not null generated always as identity,
  watch integer not null,
  owner name not null,
  rel regclass not null,
  options jsonb not null,
  key_columns text[],
  condition text,
  per_second integer,
  state text not null default 'waiting'::text,
  part regclass,
  part_blocks bigint not null default 0,
  after_row tid not null default '(0,0)'::tid,
  rows_sent bigint not null default 0,
  blocks_read bigint not null default 0,
  blocks bigint not null,
  due_at timestamp with time zone not null default clock_timestamp(),
  created_at timestamp with time zone not null default now(),
  ended_at timestamp with time zone,
  error text,
  constraint backfill_runs_per_second_check CHECK ((per_second > 0)),
  constraint backfill_runs_pkey PRIMARY KEY (id),
  constraint backfill_runs_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE INDEX backfill_runs_unfinished ON posthorn.backfill_runs USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));
alter table posthorn.backfill_runs enable row level security;
create policy of_owner on posthorn.backfill_runs using ((EXISTS ( SELECT
   FROM pg_roles r
  WHERE ((r.rolname = backfill_runs.owner) AND pg_has_role(r.oid, 'usage'::text)))));

-- Subscriptions with held deliveries, and the worker that owns the backlog of each.
create table posthorn.backlogs (
  subscription_id integer not null,
  added_at timestamp with time zone not null default clock_timestamp(),
  owner text,
  owned_at timestamp with time zone,
  pulled_at timestamp with time zone,
  rate_due_at timestamp with time zone,
  constraint backlogs_pkey PRIMARY KEY (subscription_id)
);

-- Subscriptions whose receivers fail, and whether their circuits are open.
create table posthorn.circuits (
  subscription_id integer not null,
  failing_since timestamp with time zone not null,
  failures integer not null,
  down integer not null default 0,
  down_since timestamp with time zone,
  last_failed_at timestamp with time zone not null,
  last_error_code text,
  last_error text,
  opened_at timestamp with time zone,
  probe_at timestamp with time zone,
  probe_interval_ms integer,
  told_at timestamp with time zone,
  constraint circuits_check CHECK ((((opened_at IS NULL) = (probe_at IS NULL)) AND ((opened_at IS NULL) = (probe_interval_ms IS NULL)))),
  constraint circuits_pkey PRIMARY KEY (subscription_id)
);
CREATE TRIGGER follow_circuit AFTER INSERT OR DELETE ON posthorn.circuits FOR EACH ROW EXECUTE FUNCTION posthorn.follow_circuit();
CREATE TRIGGER follow_circuit_update AFTER UPDATE ON posthorn.circuits FOR EACH ROW WHEN ((old.probe_at IS DISTINCT FROM new.probe_at)) EXECUTE FUNCTION posthorn.follow_circuit();

-- When transactions with numbers from xid on began to write, at the earliest.
create table posthorn.commit_marks (
  xid xid8 not null,
  at timestamp with time zone not null,
  constraint commit_marks_pkey PRIMARY KEY (xid)
);

-- One row: when counting began, and how far the counts have come.
create table posthorn.counting (
  is_only_row boolean not null default true,
  counted_from timestamp with time zone not null default date_trunc('minute'::text, now()),
  counted_until timestamp with time zone not null default date_trunc('minute'::text, now()),
  constraint counting_is_only_row_check CHECK (is_only_row),
  constraint counting_pkey PRIMARY KEY (is_only_row)
);

-- The webhooks and attempts of each tenant (subscription_id 0) in each hour of the last 400 days, and of each subscription in each hour of the last 35 days.
create table posthorn.counts_by_hour (
  tenant text not null,
  subscription_id integer not null,
  hour timestamp with time zone not null,
  accepted bigint not null,
  success bigint not null,
  failed bigint not null,
  timeout bigint not null,
  blocked bigint not null,
  duration_classes smallint[] not null,
  duration_numbers bigint[] not null,
  constraint counts_by_hour_pkey PRIMARY KEY (tenant, subscription_id, hour)
);
CREATE INDEX counts_by_hour_time ON posthorn.counts_by_hour USING brin (hour);

-- The webhooks and attempts of each tenant in each minute of the last two days.
create table posthorn.counts_by_minute (
  tenant text not null,
  minute timestamp with time zone not null,
  accepted bigint not null,
  success bigint not null,
  failed bigint not null,
  timeout bigint not null,
  blocked bigint not null,
  duration_classes smallint[] not null,
  duration_numbers bigint[] not null,
  constraint counts_by_minute_pkey PRIMARY KEY (tenant, minute)
);
CREATE INDEX counts_by_minute_time ON posthorn.counts_by_minute USING brin (minute);

-- The sending of one webhook to one subscription: its state, its attempts, and when the next attempt is due.
create table posthorn.deliveries (
  webhook_id uuid not null,
  next_attempt_at timestamp with time zone default now(),
  ended_at timestamp with time zone,
  subscription_id integer not null,
  state posthorn.delivery_state not null default 'pending'::posthorn.delivery_state,
  handed_to integer,
  attempt_count smallint not null default 0,
  probe_count smallint not null default 0,
  schedule_offset smallint,
  queued boolean not null default true,
  reason text,
  constraint deliveries_pkey PRIMARY KEY (webhook_id, subscription_id)
) partition by RANGE (webhook_id);
CREATE INDEX deliveries_by_subscription ON ONLY posthorn.deliveries USING btree (subscription_id, webhook_id);
CREATE INDEX deliveries_failed ON ONLY posthorn.deliveries USING btree (subscription_id, ended_at) WHERE (state = 'failed'::posthorn.delivery_state);
CREATE INDEX deliveries_held ON ONLY posthorn.deliveries USING btree (subscription_id, webhook_id) WHERE (state = 'held'::posthorn.delivery_state);
CREATE INDEX deliveries_owed ON ONLY posthorn.deliveries USING btree (next_attempt_at, state, subscription_id) WHERE (state = ANY (ARRAY['pending'::posthorn.delivery_state, 'held'::posthorn.delivery_state]));
CREATE INDEX deliveries_unqueued ON ONLY posthorn.deliveries USING btree (next_attempt_at) WHERE ((state = 'pending'::posthorn.delivery_state) AND (NOT queued));
CREATE INDEX deliveries_unsuccessful ON ONLY posthorn.deliveries USING btree (webhook_id, subscription_id) WHERE (state = ANY (ARRAY['failed'::posthorn.delivery_state, 'cancelled'::posthorn.delivery_state]));
CREATE INDEX deliveries_unsuccessful_by_subscription ON ONLY posthorn.deliveries USING btree (subscription_id, webhook_id) WHERE (state = ANY (ARRAY['failed'::posthorn.delivery_state, 'cancelled'::posthorn.delivery_state]));

-- Attempts: tries to send a delivery, each with its outcome.
create table posthorn.delivery_attempts (
  id bigint not null default nextval('posthorn.delivery_attempts_id_seq'::regclass),
  at timestamp with time zone not null default clock_timestamp(),
  webhook_id uuid not null,
  subscription_id integer not null,
  duration_ms integer not null,
  first_byte_ms integer,
  webhook_timestamp integer,
  token integer,
  attempt_number smallint,
  response_code smallint,
  status posthorn.attempt_status not null,
  dns_ms smallint,
  connect_ms smallint,
  tls_ms smallint,
  error_code text,
  error text,
  response_excerpt text,
  constraint delivery_attempts_webhook_id_subscription_id_attempt_number_key UNIQUE (webhook_id, subscription_id, attempt_number)
) partition by RANGE (webhook_id);
CREATE INDEX delivery_attempts_by_subscription ON ONLY posthorn.delivery_attempts USING btree (subscription_id, at);
CREATE INDEX delivery_attempts_by_time ON ONLY posthorn.delivery_attempts USING btree (at);
CREATE INDEX delivery_attempts_unsuccessful ON ONLY posthorn.delivery_attempts USING btree (at) WHERE (status <> 'success'::posthorn.attempt_status);
CREATE INDEX delivery_attempts_unsuccessful_by_subscription ON ONLY posthorn.delivery_attempts USING btree (subscription_id, at) WHERE (status <> 'success'::posthorn.attempt_status);

-- Types of webhooks that a tenant has described.
create table posthorn.event_types (
  tenant text not null default 'default'::text,
  name text not null,
  description text,
  schema json,
  example json,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  archived_at timestamp with time zone,
  constraint event_types_name_check CHECK (((name ~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$'::text) AND (length(name) <= 128))),
  constraint event_types_name_is_no_route CHECK ((name <> ALL (ARRAY['import'::text, 'openapi.json'::text]))),
  constraint event_types_pkey PRIMARY KEY (tenant, name)
);
CREATE TRIGGER notify_changed AFTER INSERT OR DELETE OR UPDATE ON posthorn.event_types FOR EACH ROW EXECUTE FUNCTION posthorn.notify_event_types_changed();
CREATE TRIGGER require_open BEFORE INSERT OR DELETE OR UPDATE ON posthorn.event_types FOR EACH ROW EXECUTE FUNCTION posthorn.require_open_tenant();

-- The webhook up to which bodies have been erased, by tenant.
create table posthorn.expired_bodies (
  tenant text not null,
  through_id uuid not null,
  constraint expired_bodies_pkey PRIMARY KEY (tenant)
);

-- The Posthorns that tenants may live in, each with a database of its own.
create table posthorn.homes (
  name text not null,
  api_url text not null,
  first_id integer not null,
  encryption_key text,
  joined_at timestamp with time zone not null default now(),
  constraint homes_api_url_check CHECK ((api_url ~ '^https?://[^/]+$'::text)),
  constraint homes_first_id_key UNIQUE (first_id),
  constraint homes_name_check CHECK ((name ~ '^[a-z0-9][a-z0-9-]{0,39}$'::text)),
  constraint homes_pkey PRIMARY KEY (name)
);

-- Idempotency keys of the last 24 hours, and the answers to their requests.
create table posthorn.idempotency_keys (
  created_at timestamp with time zone not null default clock_timestamp(),
  tenant text collate "C" not null,
  key text collate "C" not null,
  fingerprint bytea not null,
  webhook_ids uuid[] not null,
  deliveries integer[] not null
) partition by RANGE (created_at);

-- API keys, as SHA-256, with their scopes.
create table posthorn.keys (
  id integer not null generated always as identity,
  tenant text,
  hash bytea not null,
  hint text not null,
  name text,
  environment text not null,
  scopes text[] not null,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  constraint keys_admin_is_of_all_tenants CHECK (((tenant IS NULL) = ('admin'::text = ANY (scopes)))),
  constraint keys_environment_check CHECK ((environment = ANY (ARRAY['live'::text, 'test'::text]))),
  constraint keys_hash_check CHECK ((length(hash) = 32)),
  constraint keys_hash_key UNIQUE (hash),
  constraint keys_pkey PRIMARY KEY (id),
  constraint keys_scopes_check CHECK (((cardinality(scopes) > 0) AND (scopes <@ ARRAY['read'::text, 'send'::text, 'pull'::text, 'manage'::text, 'admin'::text]))),
  constraint keys_tenant_fkey FOREIGN KEY (tenant) REFERENCES posthorn.tenants(id)
);
CREATE INDEX keys_of_tenant ON posthorn.keys USING btree (tenant, id);
CREATE TRIGGER notify_changed AFTER INSERT OR DELETE OR UPDATE OF tenant, hash, scopes, expires_at, revoked_at ON posthorn.keys FOR EACH ROW EXECUTE FUNCTION posthorn.notify_key_changed();
CREATE TRIGGER require_open BEFORE INSERT OR UPDATE OF tenant, scopes, expires_at, revoked_at ON posthorn.keys FOR EACH ROW EXECUTE FUNCTION posthorn.require_open_tenant();

-- Held deliveries that receivers have pulled and not acknowledged yet.
create table posthorn.leases (
  subscription_id integer not null,
  webhook_id uuid not null,
  attempt_number smallint not null,
  token integer not null,
  leased_at timestamp with time zone not null default clock_timestamp(),
  ends_at timestamp with time zone not null,
  constraint leases_pkey PRIMARY KEY (subscription_id, webhook_id)
);
CREATE INDEX leases_by_end ON posthorn.leases USING btree (ends_at);

-- One row: the limits for sending from SQL, set by the process that started last.
create table posthorn.limits (
  is_only_row boolean not null default true,
  max_body_bytes bigint not null default 1048576,
  updated_at timestamp with time zone not null default now(),
  constraint limits_is_only_row_check CHECK (is_only_row),
  constraint limits_max_body_bytes_check CHECK ((max_body_bytes > 0)),
  constraint limits_pkey PRIMARY KEY (is_only_row)
);

-- The files of migrations/ that were applied.
create table posthorn.migrations (
  version integer not null,
  name text not null,
  applied_at timestamp with time zone not null default now(),
  constraint migrations_pkey PRIMARY KEY (version)
);

-- Tenants that are being moved from one home to another, and how far that has come.
create table posthorn.moves (
  tenant text not null,
  source text not null,
  target text not null,
  phase text not null,
  started_at timestamp with time zone not null default now(),
  changed_at timestamp with time zone not null default now(),
  error text,
  constraint moves_phase_check CHECK ((phase = ANY (ARRAY['prepare'::text, 'copy'::text, 'pause'::text, 'close'::text, 'open'::text, 'clean up'::text, 'undo'::text]))),
  constraint moves_pkey PRIMARY KEY (tenant),
  constraint moves_source_fkey FOREIGN KEY (source) REFERENCES posthorn.homes(name),
  constraint moves_target_fkey FOREIGN KEY (target) REFERENCES posthorn.homes(name)
);

-- Notices about subscriptions that were sent to people in the last 30 days.
create table posthorn.notices (
  id bigint not null generated always as identity,
  tenant text not null,
  subscription_id integer not null,
  what text not null,
  at timestamp with time zone not null default now(),
  due_at timestamp with time zone not null,
  webhooks uuid[] not null,
  targets integer[] not null,
  constraint notices_pkey PRIMARY KEY (id),
  constraint notices_what_check CHECK ((what = ANY (ARRAY['failing'::text, 'disabled'::text, 'recovered'::text])))
);
CREATE INDEX notices_by_subscription ON posthorn.notices USING btree (subscription_id, id);
CREATE INDEX notices_by_tenant ON posthorn.notices USING btree (tenant, at);

-- Webhooks whose body is erased when all their deliveries have ended.
create table posthorn.overdue_bodies (
  webhook_id uuid not null,
  constraint overdue_bodies_pkey PRIMARY KEY (webhook_id)
);

-- The tenants of keys, as SHA-256, of all homes.
create table posthorn.placed_keys (
  hash bytea not null,
  tenant text not null,
  constraint placed_keys_hash_check CHECK ((length(hash) = 32)),
  constraint placed_keys_pkey PRIMARY KEY (hash)
);

-- Subscriptions of tenants that have moved, for requests to /ingest.
create table posthorn.placed_subscriptions (
  id integer not null,
  tenant text not null,
  constraint placed_subscriptions_pkey PRIMARY KEY (id)
);

-- The home of each tenant: the Posthorn whose database it lives in.
create table posthorn.placements (
  tenant text not null,
  home text not null,
  epoch integer not null default 1,
  moving boolean not null default false,
  constraint placements_home_fkey FOREIGN KEY (home) REFERENCES posthorn.homes(name),
  constraint placements_pkey PRIMARY KEY (tenant)
);
CREATE TRIGGER notify_changed AFTER INSERT OR DELETE OR UPDATE ON posthorn.placements FOR EACH ROW EXECUTE FUNCTION posthorn.notify_placement_changed();

-- Partitions without unfinished deliveries, and when the last of their attempts and deliveries ended.
create table posthorn.quiet_history (
  from_at timestamp with time zone not null,
  until_at timestamp with time zone not null,
  last_ended_at timestamp with time zone,
  constraint quiet_history_pkey PRIMARY KEY (from_at)
);
CREATE INDEX quiet_history_by_end ON posthorn.quiet_history USING btree (last_ended_at);

-- What roles may do from SQL in this database, and for which tenants. posthorn.allow_sender, allow_reporter, allow_manager and their revoke_ functions change it.
create table posthorn.rights (
  role name not null,
  may text not null,
  tenants text[],
  bodies boolean not null default false,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  constraint rights_bodies_are_read CHECK (((may = 'read'::text) OR (NOT bodies))),
  constraint rights_may_check CHECK ((may = ANY (ARRAY['send'::text, 'read'::text, 'manage'::text]))),
  constraint rights_pkey PRIMARY KEY (role, may),
  constraint rights_tenants_check CHECK ((cardinality(tenants) > 0))
);

-- The files of schema/ (functions and views) as they were last applied: SHA-256, and by which version.
create table posthorn.schema_files (
  path text not null,
  hash text not null,
  posthorn_version text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_files_pkey PRIMARY KEY (path)
);

-- Browsers that are signed in to the dashboard or the portal, and links to the portal.
create table posthorn.sessions (
  hash bytea not null,
  key_id integer,
  created_at timestamp with time zone not null default now(),
  expires_at timestamp with time zone not null,
  portal_tenant text,
  portal jsonb,
  link_id uuid,
  open_until timestamp with time zone,
  constraint sessions_hash_check CHECK ((length(hash) = 32)),
  constraint sessions_key_id_fkey FOREIGN KEY (key_id) REFERENCES posthorn.keys(id),
  constraint sessions_link_id_key UNIQUE (link_id),
  constraint sessions_link_is_to_portal CHECK (((open_until IS NULL) OR (link_id IS NOT NULL))),
  constraint sessions_pkey PRIMARY KEY (hash),
  constraint sessions_portal_is_of_tenant CHECK (((portal_tenant IS NULL) = (portal IS NULL))),
  constraint sessions_portal_tenant_fkey FOREIGN KEY (portal_tenant) REFERENCES posthorn.tenants(id)
);
CREATE INDEX sessions_of_key ON posthorn.sessions USING btree (COALESCE(key_id, 0), created_at) WHERE (portal_tenant IS NULL);
CREATE INDEX sessions_of_portal ON posthorn.sessions USING btree (portal_tenant, created_at) WHERE (portal_tenant IS NOT NULL);

-- The event types and channels of each subscription, as rows, for finding those that match a webhook.
create table posthorn.subscription_event_types (
  tenant text not null,
  event_type text not null,
  channel text not null,
  subscription_id integer not null,
  constraint subscription_event_types_pkey PRIMARY KEY (tenant, event_type, channel, subscription_id)
);

-- The URL of a receiver, or null if it pulls; its selection of webhooks, and its delivery options.
create table posthorn.subscriptions (
  id integer not null generated always as identity,
  tenant text not null default 'default'::text,
  url text,
  format text not null default 'webhook'::text,
  description text,
  metadata jsonb,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  status posthorn.subscription_status not null default 'active'::posthorn.subscription_status,
  status_reason text,
  status_changed_at timestamp with time zone,
  skip_until uuid,
  event_types text[],
  channels text[],
  filter jsonpath,
  filter_test jsonpath,
  filter_cost smallint,
  headers jsonb,
  retry_schedule text,
  timeout_ms integer,
  max_in_flight integer,
  rate_limit integer,
  rate_limit_per_ms integer,
  ordering posthorn.subscription_ordering not null default 'none'::posthorn.subscription_ordering,
  circuit_open boolean not null default false,
  through_backlog boolean not null default false,
  secret text,
  retired_secrets jsonb,
  signature_scheme text not null default 'hmac'::text,
  signature_header text,
  signature_template text,
  signature_content text,
  verify jsonb,
  verify_secret text,
  forward_headers text[],
  ingest_content_types text[],
  expire_after_ms bigint,
  constraint subscriptions_check CHECK (((url ~ '^https?://'::text) OR ((url ~ '^mailto:'::text) AND (format = 'notice'::text)))),
  constraint subscriptions_check1 CHECK (((format = 'webhook'::text) OR ((format = 'notice'::text) AND (channels = '{posthorn.notices}'::text[]) AND (event_types IS NOT NULL)))),
  constraint subscriptions_deleted_keeps_no_secret CHECK (((deleted_at IS NULL) OR (secret IS NULL))),
  constraint subscriptions_expire_after_ms_check CHECK (((expire_after_ms >= 120000) AND (expire_after_ms <= '31536000000'::bigint))),
  constraint subscriptions_expires_unpulled CHECK (((expire_after_ms IS NULL) OR (url IS NULL))),
  constraint subscriptions_headers_check CHECK ((jsonb_typeof(headers) = 'object'::text)),
  constraint subscriptions_max_in_flight_check CHECK (((max_in_flight >= 1) AND (max_in_flight <= 10000))),
  constraint subscriptions_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
  constraint subscriptions_pkey PRIMARY KEY (id),
  constraint subscriptions_rate_has_time CHECK (((rate_limit IS NULL) = (rate_limit_per_ms IS NULL))),
  constraint subscriptions_rate_limit_check CHECK ((rate_limit > 0)),
  constraint subscriptions_rate_limit_per_ms_check CHECK ((rate_limit_per_ms > 0)),
  constraint subscriptions_secret_check CHECK ((secret <> ''::text)),
  constraint subscriptions_signature_scheme CHECK ((signature_scheme = ANY (ARRAY['hmac'::text, 'ed25519'::text]))),
  constraint subscriptions_timeout_ms_check CHECK (((timeout_ms >= 100) AND (timeout_ms <= 300000))),
  constraint subscriptions_verify_has_secret CHECK (((verify IS NULL) = (verify_secret IS NULL)))
);
comment on column posthorn.subscriptions.through_backlog is 'Whether its deliveries are held from the start and sent by the owner of its backlog. Set by a trigger.';
CREATE INDEX subscriptions_by_tenant ON posthorn.subscriptions USING btree (tenant, id);
CREATE INDEX subscriptions_by_timeout ON posthorn.subscriptions USING btree (timeout_ms) WHERE ((timeout_ms IS NOT NULL) AND (deleted_at IS NULL));
CREATE INDEX subscriptions_disabled ON posthorn.subscriptions USING btree (id) WHERE ((status = 'disabled'::posthorn.subscription_status) AND (deleted_at IS NULL));
CREATE INDEX subscriptions_pulled ON posthorn.subscriptions USING btree (id) WHERE ((url IS NULL) AND (deleted_at IS NULL));
CREATE INDEX subscriptions_skipping ON posthorn.subscriptions USING btree (id) WHERE (skip_until IS NOT NULL);
CREATE INDEX subscriptions_temporary ON posthorn.subscriptions USING btree (id) WHERE ((expire_after_ms IS NOT NULL) AND (deleted_at IS NULL));
CREATE TRIGGER check_filter BEFORE INSERT OR UPDATE OF filter, filter_test, filter_cost ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.check_filter();
CREATE TRIGGER ensure_backlog AFTER INSERT OR UPDATE ON posthorn.subscriptions FOR EACH ROW WHEN ((new.through_backlog AND (new.deleted_at IS NULL))) EXECUTE FUNCTION posthorn.ensure_backlog();
CREATE TRIGGER forget_circuit AFTER UPDATE ON posthorn.subscriptions FOR EACH ROW WHEN ((((new.status = 'active'::posthorn.subscription_status) AND (old.status <> 'active'::posthorn.subscription_status)) OR (new.url <> old.url) OR ((new.deleted_at IS NOT NULL) AND (old.deleted_at IS NULL)))) EXECUTE FUNCTION posthorn.forget_circuit();
CREATE TRIGGER forget_secrets BEFORE UPDATE ON posthorn.subscriptions FOR EACH ROW WHEN ((new.deleted_at IS NOT NULL)) EXECUTE FUNCTION posthorn.forget_secrets();
CREATE TRIGGER notify_changed AFTER INSERT OR DELETE OR UPDATE ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.notify_subscription_changed();
CREATE TRIGGER require_open BEFORE INSERT OR UPDATE OF tenant, url, format, description, metadata, deleted_at, event_types, channels, filter, headers, retry_schedule, timeout_ms, max_in_flight, rate_limit, rate_limit_per_ms, ordering, secret, retired_secrets, signature_scheme, signature_header, signature_template, signature_content, verify, verify_secret, forward_headers, ingest_content_types, expire_after_ms ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.require_open_tenant();
CREATE TRIGGER require_tenant BEFORE INSERT OR UPDATE OF tenant ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.require_tenant_of_subscription();
CREATE TRIGGER set_through_backlog BEFORE INSERT OR UPDATE ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.set_through_backlog();
CREATE TRIGGER store_event_types AFTER INSERT OR DELETE OR UPDATE OF id, tenant, event_types, channels, deleted_at ON posthorn.subscriptions FOR EACH ROW EXECUTE FUNCTION posthorn.store_subscription_event_types();

-- Bulk operations on many deliveries, done in batches by the workers.
create table posthorn.tasks (
  id uuid not null default posthorn.uuidv7(),
  tenant text not null,
  kind text not null,
  state text not null default 'waiting'::text,
  subscription_id integer,
  since_id uuid not null,
  until_id uuid not null,
  states posthorn.delivery_state[] not null,
  event_types text[],
  rate integer,
  cursor_at timestamp with time zone,
  cursor_webhook uuid,
  cursor_subscription integer,
  examined bigint not null default 0,
  changed bigint not null default 0,
  due_at timestamp with time zone not null default now(),
  created_at timestamp with time zone not null default now(),
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  error text,
  constraint tasks_kind_check CHECK ((kind = ANY (ARRAY['replay'::text, 'recover'::text, 'cancel'::text, 'delete'::text]))),
  constraint tasks_pkey PRIMARY KEY (id),
  constraint tasks_rate_check CHECK ((rate > 0)),
  constraint tasks_state_check CHECK ((state = ANY (ARRAY['waiting'::text, 'running'::text, 'succeeded'::text, 'failed'::text, 'cancelled'::text])))
);
CREATE INDEX tasks_of_tenant ON posthorn.tasks USING btree (tenant, id);
CREATE INDEX tasks_unfinished ON posthorn.tasks USING btree (due_at) WHERE (state = ANY (ARRAY['waiting'::text, 'running'::text]));
CREATE TRIGGER require_open BEFORE INSERT ON posthorn.tasks FOR EACH ROW EXECUTE FUNCTION posthorn.require_open_tenant();

-- The owners of subscriptions, webhooks, deliveries and keys. Where no tenant is named, it is `default`.
create table posthorn.tenants (
  id text not null,
  name text,
  metadata jsonb,
  retention_ms bigint,
  strict_event_types boolean not null default false,
  validate_event_types boolean not null default false,
  portal jsonb,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  closed_at timestamp with time zone,
  constraint tenants_default_stays CHECK (((id <> 'default'::text) OR (deleted_at IS NULL))),
  constraint tenants_metadata_check CHECK ((jsonb_typeof(metadata) = 'object'::text)),
  constraint tenants_pkey PRIMARY KEY (id),
  constraint tenants_portal_check CHECK ((jsonb_typeof(portal) = 'object'::text)),
  constraint tenants_retention_ms_check CHECK ((retention_ms > 0))
);
CREATE TRIGGER notify_changed AFTER INSERT OR DELETE OR UPDATE ON posthorn.tenants FOR EACH ROW EXECUTE FUNCTION posthorn.notify_tenant_changed();
CREATE TRIGGER notify_event_type_rules_changed AFTER INSERT OR UPDATE OF strict_event_types, validate_event_types ON posthorn.tenants FOR EACH ROW EXECUTE FUNCTION posthorn.notify_event_type_rules_changed();
CREATE TRIGGER require_open BEFORE UPDATE OF name, metadata, retention_ms, strict_event_types, validate_event_types, portal, deleted_at ON posthorn.tenants FOR EACH ROW WHEN ((old.closed_at IS NOT NULL)) EXECUTE FUNCTION posthorn.refuse_closed_change();

-- Webhooks that watches with on_error => 'skip' could not send. The workers merge old rows of a watch into one.
create table posthorn.watch_failures (
  id bigint not null generated always as identity,
  watch integer not null,
  at timestamp with time zone not null default clock_timestamp(),
  webhooks bigint not null,
  error text not null,
  constraint watch_failures_pkey PRIMARY KEY (id)
);
CREATE INDEX watch_failures_of_watch ON posthorn.watch_failures USING btree (watch, at);

-- Accepted webhooks. The id is the webhook_id of other tables.
create table posthorn.webhook_payloads (
  id uuid not null default posthorn.uuidv7(),
  accepted_at timestamp with time zone not null default now(),
  deliver_at timestamp with time zone,
  tenant text not null default 'default'::text,
  event_type text,
  content_type text not null,
  channels text[],
  ordering_key text,
  headers jsonb,
  unfilterable boolean,
  body bytea,
  constraint webhook_payloads_pkey PRIMARY KEY (id)
) partition by RANGE (id);
CREATE INDEX webhook_payloads_of_tenant ON ONLY posthorn.webhook_payloads USING btree (tenant, id) WHERE (tenant <> 'default'::text);

-- Partitions of quiet_history that were written to since, and so are not quiet.
create table posthorn.woken_history (
  id bigint not null generated always as identity,
  from_at timestamp with time zone not null,
  in_views boolean not null default false,
  constraint woken_history_pkey PRIMARY KEY (id)
);

-- Worker processes that are alive.
create table posthorn.workers (
  id integer not null generated by default as identity,
  pool_id text not null,
  host text not null,
  pid integer not null,
  started_at timestamp with time zone not null default now(),
  seen_at timestamp with time zone not null default clock_timestamp(),
  in_flight jsonb,
  answered text[] not null default '{}'::text[],
  constraint workers_pkey PRIMARY KEY (id),
  constraint workers_pool_id_key UNIQUE (pool_id)
);

-- A row for each attempt, with its subscription.
create view posthorn.attempt_report (
  id bigint,
  at timestamp with time zone,
  webhook_id uuid,
  subscription_id integer,
  subscription_url text,
  tenant text,
  attempt_number smallint,
  status posthorn.attempt_status,
  response_code smallint,
  error_code text,
  error text,
  duration_ms integer,
  response_excerpt text,
  first_byte_ms integer,
  dns_ms smallint,
  connect_ms smallint,
  tls_ms smallint,
  webhook_timestamp integer
) as …; -- schema/views/attempt_report.sql

-- Attempts of days with attempts of the last day: (true)
create view posthorn.attempts_of_day (
  webhook_id uuid,
  subscription_id integer,
  at timestamp with time zone,
  status posthorn.attempt_status,
  duration_ms integer,
  error_code text,
  error text
) as …; -- schema/views/attempts_of_day.sql

-- Attempts of days with attempts of the last month: (true)
create view posthorn.attempts_of_month (
  webhook_id uuid,
  subscription_id integer,
  at timestamp with time zone,
  status posthorn.attempt_status,
  error_code text,
  error text
) as …; -- schema/views/attempts_of_month.sql

-- A row for each backfill of a watched table, with its state and progress.
create view posthorn.backfills (
  id integer,
  watch integer,
  rel regclass,
  "where" text,
  per_second integer,
  state text,
  rows_sent bigint,
  progress double precision,
  created_at timestamp with time zone,
  ended_at timestamp with time zone,
  error text,
  sent_by_workers boolean
) as …; -- schema/views/backfills.sql

-- A row for each delivery: its state and its attempts.
create view posthorn.delivery_report (
  webhook_id uuid,
  subscription_id integer,
  subscription_url text,
  tenant text,
  event_type text,
  state posthorn.delivery_state,
  attempts smallint,
  accepted_at timestamp with time zone,
  first_attempt_at timestamp with time zone,
  last_attempt_at timestamp with time zone,
  next_attempt_at timestamp with time zone,
  ended_at timestamp with time zone,
  total_time interval,
  last_response_code smallint,
  last_error text,
  deliver_at timestamp with time zone
) as …; -- schema/views/delivery_report.sql

-- Deliveries of days on which some may be unfinished: (true)
create view posthorn.live_deliveries (
  webhook_id uuid,
  subscription_id integer,
  state posthorn.delivery_state,
  attempt_count smallint,
  next_attempt_at timestamp with time zone
) as …; -- schema/views/live_deliveries.sql

-- Deliveries of days on which some may be held: (true)
create view posthorn.pullable_deliveries (
  webhook_id uuid,
  subscription_id integer,
  state posthorn.delivery_state,
  attempt_count smallint,
  next_attempt_at timestamp with time zone
) as …; -- schema/views/pullable_deliveries.sql

-- Webhooks of days on which some deliveries may be held: (true)
create view posthorn.pullable_payloads (
  id uuid,
  event_type text,
  ordering_key text,
  body bytea
) as …; -- schema/views/pullable_payloads.sql

-- The attempts of the tenants that the reader may read. Only for the view tenant_attempts.
create view posthorn.readable_attempts (
  id bigint,
  at timestamp with time zone,
  webhook_id uuid,
  subscription_id integer,
  attempt_number smallint,
  status posthorn.attempt_status,
  response_code smallint,
  error_code text,
  error text,
  duration_ms integer,
  response_excerpt text,
  first_byte_ms integer,
  dns_ms smallint,
  connect_ms smallint,
  tls_ms smallint,
  webhook_timestamp integer
) as …; -- schema/views/readable_attempts.sql

-- The deliveries of the tenants that the reader may read. Only for the view tenant_deliveries.
create view posthorn.readable_deliveries (
  webhook_id uuid,
  subscription_id integer,
  state posthorn.delivery_state,
  attempt_count smallint,
  next_attempt_at timestamp with time zone,
  ended_at timestamp with time zone
) as …; -- schema/views/readable_deliveries.sql

-- The webhooks of the tenants that the reader may read. Only for the view tenant_webhooks.
create view posthorn.readable_payloads (
  id uuid,
  accepted_at timestamp with time zone,
  tenant text,
  event_type text,
  content_type text,
  body bytea,
  headers jsonb,
  unfilterable boolean,
  deliver_at timestamp with time zone
) as …; -- schema/views/readable_payloads.sql

-- The subscriptions of the tenants that the reader may read. Only for the views tenant_….
create view posthorn.readable_subscriptions (
  id integer,
  url text,
  tenant text
) as …; -- schema/views/readable_subscriptions.sql

-- Attempts without their subscriptions. For deliveries_between.
create view posthorn.report_attempts (
  webhook_id uuid,
  subscription_id integer,
  at timestamp with time zone,
  response_code smallint,
  error text
) as …; -- schema/views/report_attempts.sql

-- The subscriptions of all tenants, deleted ones too. For deliveries_between.
create view posthorn.report_subscriptions (
  id integer,
  subscription_url text,
  tenant text
) as …; -- schema/views/report_subscriptions.sql

-- A row for each subscription: the state of its receiver, its held deliveries, its attempts of the last hour and the last day, its newest 1,000 attempts of the last month (recent_…), and its last errors.
create view posthorn.subscription_health (
  subscription_id integer,
  subscription_url text,
  tenant text,
  attempts_last_hour bigint,
  success_rate_last_hour numeric,
  p50_ms_last_hour double precision,
  p95_ms_last_hour double precision,
  attempts_last_day bigint,
  success_rate_last_day numeric,
  p50_ms_last_day double precision,
  p95_ms_last_day double precision,
  last_error_at timestamp with time zone,
  last_error_code text,
  last_error text,
  status posthorn.subscription_status,
  status_reason text,
  circuit text,
  failing_since timestamp with time zone,
  failures integer,
  opened_at timestamp with time zone,
  next_probe_at timestamp with time zone,
  held integer,
  held_more boolean,
  oldest_held_at timestamp with time zone,
  in_flight integer,
  recent_attempts integer,
  recent_success_rate numeric,
  attempts_per_second numeric,
  recent_error_at timestamp with time zone,
  recent_error_code text,
  recent_error text
) as …; -- schema/views/subscription_health.sql

-- The rows of attempt_report whose tenants the reader may read.
create view posthorn.tenant_attempts (
  id bigint,
  at timestamp with time zone,
  webhook_id uuid,
  subscription_id integer,
  subscription_url text,
  tenant text,
  attempt_number smallint,
  status posthorn.attempt_status,
  response_code smallint,
  error_code text,
  error text,
  duration_ms integer,
  response_excerpt text,
  first_byte_ms integer,
  dns_ms smallint,
  connect_ms smallint,
  tls_ms smallint,
  webhook_timestamp integer
) as …; -- schema/views/tenant_attempts.sql

-- The rows of counts_by_hour whose tenants the reader may read.
create view posthorn.tenant_counts (
  tenant text,
  subscription_id integer,
  hour timestamp with time zone,
  accepted bigint,
  success bigint,
  failed bigint,
  timeout bigint,
  blocked bigint,
  duration_classes smallint[],
  duration_numbers bigint[]
) as …; -- schema/views/tenant_counts.sql

-- The rows of delivery_report whose tenants the reader may read.
create view posthorn.tenant_deliveries (
  webhook_id uuid,
  subscription_id integer,
  subscription_url text,
  tenant text,
  event_type text,
  state posthorn.delivery_state,
  attempts smallint,
  accepted_at timestamp with time zone,
  first_attempt_at timestamp with time zone,
  last_attempt_at timestamp with time zone,
  next_attempt_at timestamp with time zone,
  ended_at timestamp with time zone,
  total_time interval,
  last_response_code smallint,
  last_error text,
  deliver_at timestamp with time zone
) as …; -- schema/views/tenant_deliveries.sql

-- The rows of subscription_health whose tenants the reader may read.
create view posthorn.tenant_subscriptions (
  subscription_id integer,
  subscription_url text,
  tenant text,
  attempts_last_hour bigint,
  success_rate_last_hour numeric,
  p50_ms_last_hour double precision,
  p95_ms_last_hour double precision,
  attempts_last_day bigint,
  success_rate_last_day numeric,
  p50_ms_last_day double precision,
  p95_ms_last_day double precision,
  last_error_at timestamp with time zone,
  last_error_code text,
  last_error text,
  status posthorn.subscription_status,
  status_reason text,
  circuit text,
  failing_since timestamp with time zone,
  failures integer,
  opened_at timestamp with time zone,
  next_probe_at timestamp with time zone,
  held integer,
  held_more boolean,
  oldest_held_at timestamp with time zone,
  in_flight integer,
  recent_attempts integer,
  recent_success_rate numeric,
  attempts_per_second numeric,
  recent_error_at timestamp with time zone,
  recent_error_code text,
  recent_error text
) as …; -- schema/views/tenant_subscriptions.sql

-- The rows of webhooks whose tenants the reader may read.
create view posthorn.tenant_webhooks (
  webhook_id uuid,
  accepted_at timestamp with time zone,
  tenant text,
  event_type text,
  content_type text,
  payload jsonb,
  bytes integer,
  headers jsonb,
  unfilterable boolean,
  deliver_at timestamp with time zone
) as …; -- schema/views/tenant_webhooks.sql

-- A row for each watch: its table, its options, and the webhooks that it could not send (on_error => 'skip').
create view posthorn.watches (
  id integer,
  rel regclass,
  enabled boolean,
  owner name,
  ops text[],
  columns text[],
  payload_columns text[],
  "when" text,
  with_old boolean,
  ordering_key text,
  tenant text,
  tenant_column text,
  per text,
  event_type text,
  on_error text,
  failures bigint,
  last_failed_at timestamp with time zone,
  last_error text
) as …; -- schema/views/watches.sql

-- A row for each webhook, with its payload as jsonb.
create view posthorn.webhooks (
  webhook_id uuid,
  accepted_at timestamp with time zone,
  tenant text,
  event_type text,
  content_type text,
  payload jsonb,
  bytes integer,
  headers jsonb,
  unfilterable boolean,
  deliver_at timestamp with time zone
) as …; -- schema/views/webhooks.sql

-- Stores webhooks, their deliveries and the jobs that wake the workers, for HTTP and SQL alike. Returns their ids in the order given.
create function posthorn.accept(bodies bytea, starts integer[], lengths integer[], content_types text[], subscription_ids integer[], tenants text[], event_types text[], channel_lists text[] DEFAULT NULL::text[], ordering_keys text[] DEFAULT NULL::text[], data_starts integer[] DEFAULT NULL::integer[], idempotency_keys text[] DEFAULT NULL::text[], fingerprints bytea[] DEFAULT NULL::bytea[], all_or_none boolean DEFAULT true, apart boolean DEFAULT false, header_lists text[] DEFAULT NULL::text[], worker integer DEFAULT NULL::integer, room integer DEFAULT 0, deliver_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[], OUT ids uuid[], OUT deliveries integer[], OUT outcomes text[], OUT handed_places integer[], OUT handed_subscriptions integer[]) returns record
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/accept.sql
-- may be executed by: nobody but the owner

-- The general statement behind posthorn.accept. Call posthorn.accept instead.
create function posthorn.accept_general(bodies bytea, starts integer[], lengths integer[], content_types text[], subscription_ids integer[], tenants text[], event_types text[], channel_lists text[], ordering_keys text[], data_starts integer[], idempotency_keys text[], fingerprints bytea[], all_or_none boolean, apart boolean, header_lists text[], worker integer, room integer, deliver_ats timestamp with time zone[], OUT ids uuid[], OUT deliveries integer[], OUT outcomes text[], OUT handed_places integer[], OUT handed_subscriptions integer[]) returns record
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/accept_general.sql
-- may be executed by: nobody but the owner

-- Adds jobs with these payloads for this many deliveries, with a lower priority if they are among many that were sent at once. Returns the priority.
create function posthorn.add_deliver_jobs(payloads json[], deliveries integer, run_ats timestamp with time zone[] DEFAULT NULL::timestamp with time zone[]) returns smallint
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/add_deliver_jobs.sql
-- may be executed by: nobody but the owner

-- Lets a role create and pause subscriptions, and retry, cancel and replay deliveries, in this database: for all tenants, or for these only. A further call replaces the tenants of the earlier one.
create function posthorn.allow_manager(role text, tenants text[] DEFAULT NULL::text[]) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/allow_manager.sql
-- may be executed by: nobody but the owner

-- Lets a role read the reports of this database: for all tenants, or for these only, with or without the bodies of webhooks and of answers. A further call replaces the earlier one.
create function posthorn.allow_reporter(role text, bodies boolean DEFAULT false, tenants text[] DEFAULT NULL::text[]) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/allow_reporter.sql
-- may be executed by: nobody but the owner

-- Gives a role a right in this database: for all tenants, or for these only. It replaces what an earlier call gave.
create function posthorn.allow_right(role text, may text, tenants text[], bodies boolean) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/allow_right.sql
-- may be executed by: nobody but the owner

-- Lets a role send in this database: for all tenants, or for these only. A further call replaces the tenants of the earlier one.
create function posthorn.allow_sender(role text, tenants text[] DEFAULT NULL::text[]) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/allow_sender.sql
-- may be executed by: nobody but the owner

-- The tenants for which the role of the session has one of these rights. Null: all tenants.
create function posthorn.allowed_tenants(rights text[]) returns text[]
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/allowed_tenants.sql
-- may be executed by: nobody but the owner

-- The rows of attempt_report of webhooks that were accepted from since on and before until, without the bodies of answers. It reads only the days of that period.
create function posthorn.attempts_between(since timestamp with time zone, until timestamp with time zone) returns TABLE(id bigint, at timestamp with time zone, webhook_id uuid, subscription_id integer, subscription_url text, tenant text, attempt_number smallint, status posthorn.attempt_status, response_code smallint, error_code text, error text, duration_ms integer, first_byte_ms integer, dns_ms smallint, connect_ms smallint, tls_ms smallint, webhook_timestamp integer)
  language sql stable parallel safe
  as …; -- schema/functions/attempts_between.sql
-- may be executed by: nobody but the owner

-- Sends the existing rows of a watched table, in portions. Returns the id; the view posthorn.backfills shows the progress.
create function posthorn.backfill(watch regclass, "where" text DEFAULT NULL::text, per_second integer DEFAULT NULL::integer) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/backfill.sql
-- may be executed by: nobody but the owner

-- Stores a bulk operation and queues the job that works on it. Returns its id.
create function posthorn.begin_task(tenant text, kind text, subscription_id integer, since timestamp with time zone, until timestamp with time zone, states posthorn.delivery_state[], event_types text[], rate integer) returns uuid
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/begin_task.sql
-- may be executed by: nobody but the owner

-- Cancels a delivery, or all deliveries of a webhook, unless they have ended. Returns how many had not ended. A request that is in flight is not aborted.
create function posthorn.cancel(webhook_id uuid, subscription_id integer DEFAULT NULL::integer) returns integer
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/cancel.sql
-- may be executed by: nobody but the owner

-- Ends a backfill after the portion that is being sent. Returns whether it had not ended.
create function posthorn.cancel_backfill(backfill integer) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/cancel_backfill.sql
-- may be executed by: nobody but the owner

-- Cancels deliveries that have not ended. Returns how many these were.
create function posthorn.cancel_deliveries(webhooks uuid[], subscriptions integer[], reason text DEFAULT NULL::text) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; plan_cache_mode=force_custom_plan; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/cancel_deliveries.sql
-- may be executed by: nobody but the owner

-- Raises an error that names the parameter, unless the text is one boolean expression on the rows of the table.
create function posthorn.check_condition(rel regclass, condition text, of_what text, parameter text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_condition.sql
-- may be executed by: nobody but the owner

-- Returns the time at which a webhook is to be delivered. Raises an error if it is more than 30 days ahead.
create function posthorn.check_deliver_at(deliver_at timestamp with time zone) returns timestamp with time zone
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_deliver_at.sql
-- may be executed by: nobody but the owner

-- Trigger: refuses a filter that cannot be used, and stores the form in which it is tested and its cost.
create function posthorn.check_filter() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_filter.sql
-- may be executed by: nobody but the owner

-- Returns the headers that a sender gives to a webhook, with their names in lower case, as the text of a JSON object; null if there are none. Raises an error that names the header which cannot be sent.
create function posthorn.check_headers(headers jsonb) returns text
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_headers.sql
-- may be executed by: nobody but the owner

-- Raises invalid_text_representation (22P02) unless the text is JSON.
create function posthorn.check_json(data text) returns void
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_json.sql
-- may be executed by: nobody but the owner

-- Raises an error unless a condition only compares values of a row: no subqueries, and no functions that read or change something.
create function posthorn.check_plain_condition(rel regclass, condition text, of_what text, parameter text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; client_min_messages=warning; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_plain_condition.sql
-- may be executed by: nobody but the owner

-- Checks the arguments of posthorn.send_many, and returns the size that a body may have. Raises an error with a hint if an argument is wrong.
create function posthorn.check_sending(event_types text[], tenant text, channels text[], ordering_keys text[], idempotency_key text, subscription_id integer) returns bigint
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_sending.sql
-- may be executed by: nobody but the owner

-- Raises an error that says why a table cannot be watched, and what would work.
create function posthorn.check_watchable(rel regclass, per text) returns void
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/check_watchable.sql
-- may be executed by: nobody but the owner

-- Locks idempotency keys until the end of the transaction. The outcome of a key that cannot be used is in_flight (another transaction has it), reused (for another request), or replayed (with the earlier answer).
create function posthorn.claim_idempotency_keys(tenants text[], keys text[], fingerprints bytea[], OUT outcomes text[], OUT ids uuid[], OUT deliveries integer[]) returns record
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/claim_idempotency_keys.sql
-- may be executed by: nobody but the owner

-- Closes a tenant in this database: from the commit on, nothing is accepted for it here (SQLSTATE PH002).
create function posthorn.close_tenant(tenant text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/close_tenant.sql
-- may be executed by: nobody but the owner

-- The id below which no webhook is committed any more: each webhook with a lower id is visible to the calling statement, or was rolled back.
create function posthorn.committed_before() returns uuid
  language plpgsql stable security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/committed_before.sql
-- may be executed by: nobody but the owner

-- An upper bound of the number of values in a JSON text: its brackets, braces and commas, those in strings too.
create function posthorn.count_json_elements(body bytea) returns integer
  language sql immutable strict parallel safe
  as …; -- schema/functions/count_json_elements.sql
-- may be executed by: nobody but the owner

-- Creates the partition of a table (of history, or idempotency_keys) for a range of time that none covers.
create function posthorn.create_partition(parent text, from_at timestamp with time zone, until_at timestamp with time zone) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/create_partition.sql
-- may be executed by: nobody but the owner

-- The payload of a job that wakes deliveries.
create function posthorn.deliver_job(attempt integer, bytes bigint, webhooks uuid[], subscriptions integer[]) returns json
  language sql stable parallel safe
  as …; -- schema/functions/deliver_job.sql
-- may be executed by: nobody but the owner

-- The rows of delivery_report of webhooks that were accepted from since on and before until, of one tenant or of all. It reads only the days of that period.
create function posthorn.deliveries_between(since timestamp with time zone, until timestamp with time zone, tenant text DEFAULT NULL::text) returns SETOF posthorn.delivery_report
  language sql stable parallel safe
  as …; -- schema/functions/deliveries_between.sql
-- may be executed by: nobody but the owner

-- Disables a subscription and sends the operational webhook. Returns false if the subscription was disabled already or does not exist.
create function posthorn.disable_subscription(id integer, reason text) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/disable_subscription.sql
-- may be executed by: nobody but the owner

-- The milliseconds of a duration such as 250ms, 15s, 5m, 2h or 30d. Null: it is none.
create function posthorn.duration_ms(duration text) returns numeric
  language sql immutable parallel safe
  as …; -- schema/functions/duration_ms.sql
-- may be executed by: nobody but the owner

-- Adds the job of a task, due with its next batch.
create function posthorn.enqueue_task(id uuid) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/enqueue_task.sql
-- may be executed by: nobody but the owner

-- Trigger: adds a row to backlogs for a subscription whose deliveries are held from the start.
create function posthorn.ensure_backlog() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/ensure_backlog.sql
-- may be executed by: nobody but the owner

-- Creates the missing partitions of history and of idempotency_keys for these days (UTC). Returns how many tables it created.
create function posthorn.ensure_partitions(first_day date, last_day date, days_each integer DEFAULT NULL::integer) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/ensure_partitions.sql
-- may be executed by: nobody but the owner

-- Adds a partition of so many days to each table whose last partition ends within days_left days. Returns how many it created.
create function posthorn.ensure_reserve(days integer, days_left integer) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/ensure_reserve.sql
-- may be executed by: nobody but the owner

-- The patterns that match an event type. For order.created: order.created, order.* and *.
create function posthorn.event_type_patterns(event_type text) returns text[]
  language plpgsql immutable parallel safe
  as …; -- schema/functions/event_type_patterns.sql
-- may be executed by: nobody but the owner

-- Why a subscription or a task cannot have these event types, or null.
create function posthorn.event_types_problem(event_types text[]) returns text
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/event_types_problem.sql
-- may be executed by: nobody but the owner

-- The number of steps of a filter. Each step may read all of the data once.
create function posthorn.filter_cost(filter jsonpath) returns integer
  language sql immutable strict parallel safe
  as …; -- schema/functions/filter_cost.sql
-- may be executed by: nobody but the owner

-- True for a filter whose result is true or false ($.total > 100); false for a filter that selects part of the data ($ ? (@.total > 100)).
create function posthorn.filter_is_predicate(filter jsonpath) returns boolean
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/filter_is_predicate.sql
-- may be executed by: nobody but the owner

-- Why a filter cannot be used, or null. docs/filters.md has the rules.
create function posthorn.filter_problem(filter jsonpath) returns text
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/filter_problem.sql
-- may be executed by: nobody but the owner

-- A filter as Postgres writes it, with "" for each name and string, [] for each subscript, and ~ for each comparison with a value.
create function posthorn.filter_shape(filter jsonpath) returns text
  language sql immutable strict parallel safe
  as …; -- schema/functions/filter_shape.sql
-- may be executed by: nobody but the owner

-- The form in which a filter is tested: a path that selects something in matching data, and nothing in other data.
create function posthorn.filter_test(filter jsonpath) returns jsonpath
  language sql immutable strict parallel safe
  as …; -- schema/functions/filter_test.sql
-- may be executed by: nobody but the owner

-- The watches of the caller on a table, or the watch with an id, and their functions. Raises an error if there are none.
create function posthorn.find_watches(watch regclass) returns TABLE(id integer, function regprocedure)
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/find_watches.sql
-- may be executed by: nobody but the owner

-- Trigger: sets subscriptions.circuit_open as the table circuits says, and notifies every process to reload the subscription.
create function posthorn.follow_circuit() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/follow_circuit.sql
-- may be executed by: nobody but the owner

-- Trigger: deletes the record of failures of a subscription that becomes active again, gets another URL or is deleted.
create function posthorn.forget_circuit() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/forget_circuit.sql
-- may be executed by: nobody but the owner

-- Trigger: deletes the secrets of a deleted subscription.
create function posthorn.forget_secrets() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/forget_secrets.sql
-- may be executed by: nobody but the owner

-- A new secret for a subscription: whsec_ and 32 random bytes in base64.
create function posthorn.generate_secret() returns text
  language sql parallel safe
  as …; -- schema/functions/generate_secret.sql
-- may be executed by: nobody but the owner

-- Grants what posthorn.rights says: to this role, or to all roles in it.
create function posthorn.grant_rights(role text DEFAULT NULL::text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/grant_rights.sql
-- may be executed by: nobody but the owner

-- Why a subscription cannot have these headers, or null.
create function posthorn.headers_problem(headers jsonb) returns text
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/headers_problem.sql
-- may be executed by: nobody but the owner

-- The held deliveries of a subscription, of days that were woken just now.
create function posthorn.held_of_woken_days(subscription integer) returns TABLE(webhook_id uuid, attempt_count smallint, next_attempt_at timestamp with time zone, event_type text, ordering_key text, body_length integer)
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/held_of_woken_days.sql
-- may be executed by: nobody but the owner

-- Whether a text is JSON, whatever its depth. Slower than a cast to json.
create function posthorn.is_deep_json(data text) returns boolean
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/is_deep_json.sql
-- may be executed by: nobody but the owner

-- Whether a text is an IPv6 address as URLs spell it.
create function posthorn.is_inet6(address text) returns boolean
  language plpgsql immutable parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/is_inet6.sql
-- may be executed by: nobody but the owner

-- Hands out the oldest held deliveries of a subscription without a URL, each with a lease.
create function posthorn.lease_deliveries(subscription integer, most integer, max_bytes bigint, lease_ms integer, OUT webhooks uuid[], OUT attempts smallint[], OUT tokens integer[], OUT event_types text[], OUT leased_until timestamp with time zone, OUT again_ms double precision) returns record
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/lease_deliveries.sql
-- may be executed by: nobody but the owner

-- The ids of the subscriptions of a tenant that match an event type and channels. They may be paused or disabled, an id may occur several times, and filters are not tested.
create function posthorn.list_matching_subscriptions(tenant text, event_type text, channels text[]) returns SETOF integer
  language sql stable
  as …; -- schema/functions/list_matching_subscriptions.sql
-- may be executed by: nobody but the owner

-- The partitions of history and of idempotency_keys, and the time that each covers.
create function posthorn.list_partitions() returns TABLE(parent text, name text, from_at timestamp with time zone, until_at timestamp with time zone, detaching boolean)
  language sql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/list_partitions.sql
-- may be executed by: nobody but the owner

-- The ranges of ids in which unfinished deliveries may be, or attempts and deliveries that ended at or after a time. Null: to that side all.
create function posthorn.live_history(since timestamp with time zone) returns TABLE(from_id uuid, below_id uuid)
  language sql stable
  as …; -- schema/functions/live_history.sql
-- may be executed by: nobody but the owner

-- Stores which transactions begin to write after now, for posthorn.committed_before.
create function posthorn.mark_commits() returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/mark_commits.sql
-- may be executed by: nobody but the owner

-- The result of posthorn.list_matching_subscriptions as an array.
create function posthorn.matching_subscriptions(tenant text, event_type text, channels text[]) returns integer[]
  language plpgsql stable
  set enable_seqscan=off
  as …; -- schema/functions/matching_subscriptions.sql
-- may be executed by: nobody but the owner

-- Notes that the partitions of a time are quiet, if no delivery there is unfinished. Returns whether they are.
create function posthorn.note_quiet_history(deliveries text, attempts text, from_at timestamp with time zone, until_at timestamp with time zone) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/note_quiet_history.sql
-- may be executed by: nobody but the owner

-- Counts webhooks that a watch with on_error => 'skip' could not send.
create function posthorn.note_watch_failure(watch integer, webhooks bigint, error text) returns void
  language sql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/note_watch_failure.sql
-- may be executed by: nobody but the owner

-- Notifies the owners of the backlogs of these subscriptions.
create function posthorn.notify_backlogs(subscriptions integer[]) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_backlogs.sql
-- may be executed by: nobody but the owner

-- Trigger: every process drops the event types of a tenant from its cache when the tenant changes what it accepts.
create function posthorn.notify_event_type_rules_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_event_type_rules_changed.sql
-- may be executed by: nobody but the owner

-- Trigger: every process drops the event types of the tenant from its cache.
create function posthorn.notify_event_types_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_event_types_changed.sql
-- may be executed by: nobody but the owner

-- Trigger: every process drops the key from its cache.
create function posthorn.notify_key_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_key_changed.sql
-- may be executed by: nobody but the owner

-- Trigger: every process of every home drops the placement of the tenant from its cache.
create function posthorn.notify_placement_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_placement_changed.sql
-- may be executed by: nobody but the owner

-- Trigger: every process drops the subscription from its cache.
create function posthorn.notify_subscription_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_subscription_changed.sql
-- may be executed by: nobody but the owner

-- Trigger: every process drops the tenant from its cache.
create function posthorn.notify_tenant_changed() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/notify_tenant_changed.sql
-- may be executed by: nobody but the owner

-- Opens a tenant again that posthorn.close_tenant has closed.
create function posthorn.open_tenant(tenant text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/open_tenant.sql
-- may be executed by: nobody but the owner

-- The columns that an ordering key names: with commas between them, or pk for the primary key.
create function posthorn.ordering_key_columns(rel regclass, ordering_key text) returns text[]
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/ordering_key_columns.sql
-- may be executed by: nobody but the owner

-- Pauses a subscription: its deliveries are held until it is resumed. Requests that are in flight are not aborted. Without a reason, a paused subscription keeps the reason that it has.
create function posthorn.pause(subscription_id integer, reason text DEFAULT NULL::text) returns void
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/pause.sql
-- may be executed by: nobody but the owner

-- The privileges that a right consists of, as they are written in grant and revoke.
create function posthorn.privileges_of_right(may text, limited boolean, bodies boolean) returns SETOF text
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/privileges_of_right.sql
-- may be executed by: nobody but the owner

-- The tenants whose reports the role of the session may read. Null: all tenants.
create function posthorn.readable_tenants() returns text[]
  language plpgsql stable security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/readable_tenants.sql
-- may be executed by: nobody but the owner

-- A URL without its user name, password, query and fragment, for reports.
create function posthorn.redact_url(url text) returns text
  language sql immutable strict parallel safe
  as …; -- schema/functions/redact_url.sql
-- may be executed by: public

-- Raises program_limit_exceeded (54000) for a webhook whose body is too large.
create function posthorn.refuse_body(what text, bytes bigint, max_body_bytes bigint, detail text DEFAULT ''::text) returns void
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/refuse_body.sql
-- may be executed by: nobody but the owner

-- Trigger: refuses changes to a tenant that is closed in this database.
create function posthorn.refuse_closed_change() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/refuse_closed_change.sql
-- may be executed by: nobody but the owner

-- Trigger: refuses a webhook of a tenant that is closed in this database.
create function posthorn.refuse_closed_tenant() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/refuse_closed_tenant.sql
-- may be executed by: nobody but the owner

-- Raises an error if the outcome of posthorn.claim_idempotency_keys is in_flight or reused.
create function posthorn.refuse_idempotency_key(outcome text, idempotency_key text) returns void
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/refuse_idempotency_key.sql
-- may be executed by: nobody but the owner

-- Makes deliveries owed at once that have ended, or that wait for a retry. Returns how many are due now and were not before.
create function posthorn.reopen(webhooks uuid[], subscriptions integer[], states posthorn.delivery_state[]) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/reopen.sql
-- may be executed by: nobody but the owner

-- Starts a task that sends the deliveries of a period again, the oldest first, at a limited rate. Returns its id; GET /v1/tasks/{id} shows its progress.
create function posthorn.replay(subscription_id integer, since timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, states text[] DEFAULT '{failed,cancelled}'::text[], event_types text[] DEFAULT NULL::text[], rate integer DEFAULT 100) returns uuid
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/replay.sql
-- may be executed by: nobody but the owner

-- Sends the latest webhooks to a subscription at once, when the transaction commits: those that it had, and those that it would get now. Returns how many deliveries are due now and were not before.
create function posthorn.replay_latest(subscription_id integer, last integer DEFAULT 10, event_types text[] DEFAULT NULL::text[]) returns integer
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/replay_latest.sql
-- may be executed by: nobody but the owner

-- Records that the receiver answered a probe, although it refused the webhook: closes the circuit. Returns whether the circuit was open.
create function posthorn.report_answer(id integer) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/report_answer.sql
-- may be executed by: nobody but the owner

-- Records failed attempts: opens the circuit, schedules the next probe, disables a subscription that has failed for too long, and sends the operational webhooks. It opens a circuit and reports that only once.
create function posthorn.report_failure(id integer, failures integer, since_ms double precision, down integer, down_ms double precision, open boolean, pause_ms double precision, probe boolean, gone boolean, error_code text, error text, open_failures integer, open_over_ms double precision, first_probe_ms integer, max_probe_ms integer, disable_after_ms double precision, OUT opened boolean, OUT disabled boolean) returns record
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/report_failure.sql
-- may be executed by: nobody but the owner

-- Records that an attempt succeeded: deletes the record of failures. Returns whether the circuit was open.
create function posthorn.report_success(id integer) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/report_success.sql
-- may be executed by: nobody but the owner

-- Raises undefined_column (42703) unless the table has all these columns.
create function posthorn.require_columns(rel regclass, names text[], parameter text) returns void
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_columns.sql
-- may be executed by: nobody but the owner

-- Raises PH002 if the tenant is closed, unless the session is that of a move.
create function posthorn.require_open(tenant text, is_closed boolean) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_open.sql
-- may be executed by: nobody but the owner

-- Raises PH002 if the tenant of one of these subscriptions is closed. Otherwise none is closed before the transaction ends. Returns true.
create function posthorn.require_open_subscriptions(ids integer[]) returns boolean
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_open_subscriptions.sql
-- may be executed by: nobody but the owner

-- Trigger: refuses changes to a subscription, a key or an event type, and new bulk operations, whose tenant is closed in this database.
create function posthorn.require_open_tenant() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_open_tenant.sql
-- may be executed by: nobody but the owner

-- Raises insufficient_privilege (42501) if the role of the session is limited to other tenants.
create function posthorn.require_right(may text, tenant text) returns void
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_right.sql
-- may be executed by: nobody but the owner

-- Raises insufficient_privilege (42501) if the role of the session may send for other tenants only.
create function posthorn.require_sender(tenant text) returns void
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_sender.sql
-- may be executed by: nobody but the owner

-- Returns the tenant of a subscription. Raises foreign_key_violation (23503) if none of these tenants (null: no tenant) has it.
create function posthorn.require_subscription(id integer, tenants text[]) returns text
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_subscription.sql
-- may be executed by: nobody but the owner

-- Raises foreign_key_violation (23503) unless the tenant exists and was not deleted.
create function posthorn.require_tenant(tenant text) returns void
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_tenant.sql
-- may be executed by: nobody but the owner

-- Trigger: refuses a subscription whose tenant does not exist or was deleted.
create function posthorn.require_tenant_of_subscription() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/require_tenant_of_subscription.sql
-- may be executed by: nobody but the owner

-- Makes a paused subscription active: its held deliveries are sent, the oldest first.
create function posthorn.resume(subscription_id integer) returns void
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/resume.sql
-- may be executed by: nobody but the owner

-- Sends a delivery again, or all deliveries of a webhook that have not succeeded: at once, when the transaction commits. Returns how many are due now and were not before.
create function posthorn.retry(webhook_id uuid, subscription_id integer DEFAULT NULL::integer) returns integer
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/retry.sql
-- may be executed by: nobody but the owner

-- Why a delivery of one of these tenants (null: of any) cannot be tried again: unknown, subscription deleted, body expired or too many attempts. Null: it can.
create function posthorn.retry_refusal(webhook_id uuid, subscription_id integer, tenants text[]) returns text
  language plpgsql stable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/retry_refusal.sql
-- may be executed by: nobody but the owner

-- Why a subscription cannot have this retry schedule, or null.
create function posthorn.retry_schedule_problem(schedule text) returns text
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/retry_schedule_problem.sql
-- may be executed by: nobody but the owner

-- Takes from a role the right to manage subscriptions and deliveries in this database. The role may have been dropped already.
create function posthorn.revoke_manager(role text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/revoke_manager.sql
-- may be executed by: nobody but the owner

-- Takes from a role the right to read the reports of this database. The role may have been dropped already.
create function posthorn.revoke_reporter(role text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/revoke_reporter.sql
-- may be executed by: nobody but the owner

-- Takes a right in this database from a role. The role may have been dropped already.
create function posthorn.revoke_right(role text, may text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/revoke_right.sql
-- may be executed by: nobody but the owner

-- Takes from a role the right to send in this database. The role may have been dropped already.
create function posthorn.revoke_sender(role text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/revoke_sender.sql
-- may be executed by: nobody but the owner

-- Why a secret cannot sign, or null. It never contains the secret.
create function posthorn.secret_problem(secret text) returns text
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/secret_problem.sql
-- may be executed by: nobody but the owner

-- Sends a webhook to all matching subscriptions of the tenant, or to one subscription, in the caller's transaction. Returns the id of the webhook.
create function posthorn.send(event_type text, data jsonb, tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], ordering_key text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, subscription_id integer DEFAULT NULL::integer, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, headers jsonb DEFAULT NULL::jsonb) returns uuid
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; default_table_access_method=heap; default_tablespace=; enable_seqscan=off; plan_cache_mode=force_generic_plan; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send.sql
-- may be executed by: nobody but the owner

-- Sends the next portion of a backfill. Returns the seconds until the one after it may be sent; null: the backfill has ended, or is being sent by another session.
create function posthorn.send_backfill(backfill integer) returns double precision
  language plpgsql
  set DateStyle=ISO, MDY; IntervalStyle=postgres; TimeZone=UTC; array_nulls=on; bytea_output=hex; extra_float_digits=1; jit=off; lc_monetary=C; quote_all_identifiers=off; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_backfill.sql
-- may be executed by: nobody but the owner

-- Sends a webhook with this body, as posthorn.send_json and send_raw have checked it. Returns its id.
create function posthorn.send_body(called text, body bytea, data_start integer, content_type text, event_type text, tenant text, channels text[], ordering_key text, idempotency_key text, subscription_id integer, deliver_at timestamp with time zone, headers jsonb) returns uuid
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_body.sql
-- may be executed by: nobody but the owner

-- Sends a webhook like posthorn.send. Its data is the text of JSON, which is delivered as it is given.
create function posthorn.send_json(event_type text, data text, tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], ordering_key text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, subscription_id integer DEFAULT NULL::integer, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, headers jsonb DEFAULT NULL::jsonb) returns uuid
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; default_table_access_method=heap; default_tablespace=; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_json.sql
-- may be executed by: nobody but the owner

-- Sends each webhook to all matching subscriptions of the tenant, or to one subscription, in the caller's transaction. Returns the ids of the webhooks in the order given.
create function posthorn.send_many(event_types text[], data jsonb[], tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], ordering_keys text[] DEFAULT NULL::text[], idempotency_key text DEFAULT NULL::text, subscription_id integer DEFAULT NULL::integer, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, headers jsonb DEFAULT NULL::jsonb) returns uuid[]
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; default_table_access_method=heap; default_tablespace=; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_many.sql
-- may be executed by: nobody but the owner

-- Sends notices about a subscription to the subscriptions of its tenant that are for people, in the caller's transaction: one for each incident, and 20 in an hour at most.
create function posthorn.send_notices(what text, id integer, reason text, circuit posthorn.circuits) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_notices.sql
-- may be executed by: nobody but the owner

-- Sends an operational webhook to the subscriptions of the tenant that list its type, in the caller's transaction.
create function posthorn.send_operational_webhook(event_type text, data jsonb, tenant text) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_operational_webhook.sql
-- may be executed by: nobody but the owner

-- Sends a webhook for each row of a query, which runs with the rights of the caller. Returns how many were sent.
create function posthorn.send_query(query text, tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, headers jsonb DEFAULT NULL::jsonb) returns bigint
  language plpgsql
  as …; -- schema/functions/send_query.sql
-- may be executed by: nobody but the owner

-- Sends a webhook whose body is these bytes, by event type, to one subscription, or both. Returns the id of the webhook.
create function posthorn.send_raw(body bytea, content_type text DEFAULT 'application/json'::text, event_type text DEFAULT NULL::text, subscription_id integer DEFAULT NULL::integer, tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], ordering_key text DEFAULT NULL::text, idempotency_key text DEFAULT NULL::text, deliver_at timestamp with time zone DEFAULT NULL::timestamp with time zone, headers jsonb DEFAULT NULL::jsonb) returns uuid
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; default_table_access_method=heap; default_tablespace=; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_raw.sql
-- may be executed by: nobody but the owner

-- Sends the operational webhook posthorn.subscription.<what> about a subscription, and the notices about it.
create function posthorn.send_subscription_event(what text, id integer, reason text, circuit posthorn.circuits) returns void
  language sql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_subscription_event.sql
-- may be executed by: nobody but the owner

-- Sends webhooks of a watch in the caller's transaction.
create function posthorn.send_watched(watch integer, event_types text[], data json[], ordering_keys text[], tenants text[], tenant text, skips boolean) returns void
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; default_table_access_method=heap; default_tablespace=; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/send_watched.sql
-- may be executed by: nobody but the owner

-- Pauses or resumes a subscription. A disabled subscription stays disabled. Returns its status afterwards.
create function posthorn.set_paused(id integer, paused boolean, reason text DEFAULT NULL::text, replaces boolean DEFAULT false) returns posthorn.subscription_status
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/set_paused.sql
-- may be executed by: nobody but the owner

-- Trigger: decides whether the deliveries of a subscription are held from the start.
create function posthorn.set_through_backlog() returns trigger
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/set_through_backlog.sql
-- may be executed by: nobody but the owner

-- A row for each delivery of a webhook: its state, and the outcome of its last attempt.
create function posthorn.status(webhook_id uuid) returns TABLE(subscription_id integer, subscription_url text, state posthorn.delivery_state, reason text, attempts integer, next_attempt_at timestamp with time zone, ended_at timestamp with time zone, last_attempt_at timestamp with time zone, last_status posthorn.attempt_status, last_response_code smallint, last_error_code text, last_error text)
  language plpgsql stable security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/status.sql
-- may be executed by: nobody but the owner

-- Stores the answers to the requests with new idempotency keys.
create function posthorn.store_idempotency_keys(tenants text[], keys text[], fingerprints bytea[], outcomes text[], ids uuid[], deliveries integer[], answer_ids uuid[] DEFAULT NULL::uuid[], answer_deliveries integer[] DEFAULT NULL::integer[]) returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/store_idempotency_keys.sql
-- may be executed by: nobody but the owner

-- Trigger: stores the event types and channels of a subscription as rows of subscription_event_types.
create function posthorn.store_subscription_event_types() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/store_subscription_event_types.sql
-- may be executed by: nobody but the owner

-- Stores a webhook and its deliveries, and tells a worker of them, or adds the jobs that wake the workers. Returns its id.
create function posthorn.store_webhook(body bytea, content_type text, tenant text, event_type text, channels text[], ordering_key text, headers jsonb, subscriptions integer[], worker integer DEFAULT NULL::integer, room integer DEFAULT 0) returns uuid
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/store_webhook.sql
-- may be executed by: nobody but the owner

-- Stores webhooks of one type with their deliveries and jobs, and returns their ids in the order given. Null: nothing was stored, because a subscription has a filter, or its deliveries are held, or there are too many deliveries.
create function posthorn.store_webhooks(event_type text, data text[], tenant text, channels text[], ordering_keys text[], max_body_bytes bigint) returns uuid[]
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; enable_seqscan=off; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/store_webhooks.sql
-- may be executed by: nobody but the owner

-- Creates a subscription in the caller's transaction, and returns its id. Raises an error with a hint if an argument is wrong.
create function posthorn.subscribe(url text, event_types text[] DEFAULT NULL::text[], tenant text DEFAULT 'default'::text, channels text[] DEFAULT NULL::text[], filter jsonpath DEFAULT NULL::jsonpath, secret text DEFAULT NULL::text, headers jsonb DEFAULT NULL::jsonb, ordering text DEFAULT 'none'::text, retry_schedule text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, max_in_flight integer DEFAULT NULL::integer, rate_limit integer DEFAULT NULL::integer, rate_limit_per interval DEFAULT NULL::interval, description text DEFAULT NULL::text, metadata jsonb DEFAULT NULL::jsonb) returns integer
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/subscribe.sql
-- may be executed by: nobody but the owner

-- The bytes as jsonb, or null if jsonb cannot hold them.
create function posthorn.try_jsonb(body bytea) returns jsonb
  language plpgsql immutable strict parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/try_jsonb.sql
-- may be executed by: public

-- Ends a watch, by its id, or all watches on a table. Returns how many there were.
create function posthorn.unwatch(watch regclass) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; client_min_messages=warning; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/unwatch.sql
-- may be executed by: nobody but the owner

-- Why a URL cannot be that of a subscription that is created by SQL, or null.
create function posthorn.url_problem(url text) returns text
  language plpgsql immutable parallel safe
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/url_problem.sql
-- may be executed by: nobody but the owner

-- A new UUIDv7: from pg_catalog.uuidv7() since Postgres 18, before that computed here.
create function posthorn.uuidv7() returns uuid
  language sql
  as …; -- schema/functions/uuidv7.sql
-- may be executed by: nobody but the owner

-- The smallest UUID of that millisecond, for ranges of UUIDv7 ids by time. Before 1970 it is the smallest UUID.
create function posthorn.uuidv7_floor(at timestamp with time zone) returns uuid
  language sql immutable strict parallel safe
  as …; -- schema/functions/uuidv7_floor.sql
-- may be executed by: public

-- The time in a UUIDv7, in whole milliseconds.
create function posthorn.uuidv7_time(id uuid) returns timestamp with time zone
  language sql immutable strict parallel safe
  as …; -- schema/functions/uuidv7_time.sql
-- may be executed by: public

-- The trigger of quiet partitions: notes that one has an unfinished delivery or a new attempt.
create function posthorn.wake_history() returns trigger
  language plpgsql security definer
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/wake_history.sql
-- may be executed by: nobody but the owner

-- Sends a webhook for each changed row of a table, in the transaction of the change. Returns the id of the watch.
create function posthorn.watch(rel regclass, ops text[] DEFAULT '{insert,update,delete}'::text[], columns text[] DEFAULT NULL::text[], payload_columns text[] DEFAULT NULL::text[], "when" text DEFAULT NULL::text, with_old boolean DEFAULT true, ordering_key text DEFAULT NULL::text, tenant text DEFAULT 'default'::text, tenant_column text DEFAULT NULL::text, per text DEFAULT 'statement'::text, event_type text DEFAULT NULL::text, on_error text DEFAULT 'raise'::text) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; client_min_messages=warning; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/watch.sql
-- may be executed by: nobody but the owner

-- SQL expressions of a watch for its new or its old row: the picked columns as JSON, the ordering key, and the tenant.
create function posthorn.watch_expressions(options jsonb, key_columns text[], side text, OUT picked text, OUT key text, OUT tenant text) returns record
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/watch_expressions.sql
-- may be executed by: nobody but the owner

-- The text of the function that the triggers of a watch run.
create function posthorn.watch_function_body(options jsonb, key_columns text[]) returns text
  language plpgsql immutable
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/watch_function_body.sql
-- may be executed by: nobody but the owner

-- The data of a webhook, without the envelope that Posthorn puts around data that is sent by event type.
create function posthorn.webhook_data(body bytea, event_type text) returns jsonb
  language sql immutable parallel safe
  as …; -- schema/functions/webhook_data.sql
-- may be executed by: nobody but the owner

-- The part of a webhook's body before its data, with the time of now.
create function posthorn.webhook_head(event_type text) returns bytea
  language sql parallel safe
  as …; -- schema/functions/webhook_head.sql
-- may be executed by: nobody but the owner

-- Writes the trigger that refuses webhooks of closed tenants: see posthorn.close_tenant.
create function posthorn.write_fence() returns void
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/write_fence.sql
-- may be executed by: nobody but the owner

-- Writes the views of live history that pulling or reports use again, if their days have changed. Returns how many it wrote.
create function posthorn.write_live_views(used_by text) returns integer
  language plpgsql
  set DateStyle=ISO, MDY; TimeZone=UTC; array_nulls=on; search_path=pg_catalog, pg_temp; standard_conforming_strings=on; transform_null_equals=off
  as …; -- schema/functions/write_live_views.sql
-- may be executed by: nobody but the owner
