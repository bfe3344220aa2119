-- 0010: what is done after sending: tasks, retries of what has ended, and bodies that expire.
--
-- Why it looks like this:
-- * A task (a replay, a cancellation) is a row with its place: each batch of it commits what it has
--   changed and how far it has come in one transaction, so whoever goes on after a crash goes on there.
-- * A delivery that has ended and is owed again counts its attempts on, so that its history has no
--   gaps and no number twice. Its schedule begins anew: `schedule_offset` is how many attempts it had
--   made by then.
-- * A body whose own retention is over is null. What is kept of a webhook besides is not much.
-- * The new indexes of history are of what failed, by subscription, which is what people ask for first,
--   and of the webhooks of other tenants than the default one. They are made on the parents alone, so
--   that the days to come have them and no row of today is read or locked. The keeper makes those of
--   the days that are there already, one by one and without locking them (src/maintenance/partitions.ts).
--
-- Locks: a nullable column, a dropped NOT NULL and indexes without their partitions are changes of the
-- catalogue; each history table is locked for a moment, and subscriptions while its index is made. Processes of the version before go on:
-- they never make a body null, and what they do not name is null.

alter table posthorn.deliveries
  -- How many attempts had been made when it was last owed anew. Null: none.
  add column schedule_offset smallint;

-- Null once the body's retention is over, which may be shorter than the history's.
alter table posthorn.webhook_payloads alter column body drop not null;

create index deliveries_unsuccessful_by_subscription
  on only posthorn.deliveries (subscription_id, webhook_id)
  where state in ('failed', 'cancelled');
create index delivery_attempts_unsuccessful_by_subscription
  on only posthorn.delivery_attempts (subscription_id, at)
  where status <> 'success';

-- Whose deliveries are asked for: those of one tenant, deleted subscriptions among them.
create index subscriptions_with_deleted_of_tenant on posthorn.subscriptions (tenant, id);
-- And whose webhooks. Where there is but the default tenant, it is empty and costs nothing.
create index webhook_payloads_of_tenant
  on only posthorn.webhook_payloads (tenant, id)
  where tenant <> 'default';

create table posthorn.tasks (
  id uuid primary key default posthorn.uuidv7(),
  tenant text not null,
  kind text not null check (kind in ('replay', 'recover', 'cancel', 'delete')),
  state text not null default 'waiting'
    check (state in ('waiting', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Which deliveries: of this subscription (null: of all), of webhooks from the one id to before the
  -- other, in one of these states, of one of these types (patterns; null: of all).
  subscription_id integer,
  since_id uuid not null,
  until_id uuid not null,
  states posthorn.delivery_state[] not null,
  event_types text[],
  -- Deliveries a second. Null: as fast as the batches go.
  rate integer check (rate > 0),
  -- The place after which the next batch begins; null before the first one. Owed deliveries are gone
  -- through in the order of when they are due, others in that of their ids.
  cursor_at timestamptz,
  cursor_webhook uuid,
  cursor_subscription integer,
  -- Deliveries that were looked at, and those that were changed.
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

-- Up to which webhook the bodies have been made null, in the order of ids: of a tenant with a retention
-- of its own, and ('') of all. See src/maintenance/bodies.ts.
create table posthorn.expired_bodies (
  tenant text primary key,
  through_id uuid not null
);
-- Bodies whose time was over while a delivery of theirs was owed: they are looked at again.
create table posthorn.overdue_bodies (
  webhook_id uuid primary key
);
