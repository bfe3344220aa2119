import { type ColumnType, type Generated, Kysely, PostgresDialect } from 'kysely';
import type pg from 'pg';

export type DeliveryState = 'pending' | 'held' | 'succeeded' | 'failed' | 'cancelled';
export type AttemptStatus = 'success' | 'failed' | 'timeout' | 'blocked';

export type SubscriptionStatus = 'active' | 'paused' | 'disabled';
export type SubscriptionOrdering = 'none' | 'strict';

interface SubscriptionsTable {
  id: Generated<number>;
  tenant: Generated<string>;
  url: string | null;
  secret: string | null;
  retired_secrets: ColumnType<
    { secret: string; until: string }[] | null,
    string | null,
    string | null
  >;
  signature_scheme: Generated<'hmac' | 'ed25519'>;
  signature_header: string | null;
  signature_template: string | null;
  signature_content: string | null;
  verify: object | null;
  verify_secret: string | null;
  forward_headers: string[] | null;
  ingest_content_types: string[] | null;
  format: Generated<'webhook' | 'notice'>;
  event_types: string[] | null;
  description: string | null;
  status: Generated<SubscriptionStatus>;
  status_reason: string | null;
  status_changed_at: Date | null;
  channels: string[] | null;
  filter: string | null;
  headers: Record<string, string> | null;
  metadata: Record<string, string> | null;
  retry_schedule: string | null;
  timeout_ms: number | null;
  max_in_flight: number | null;
  rate_limit: number | null;
  rate_limit_per_ms: number | null;
  ordering: Generated<SubscriptionOrdering>;
  circuit_open: Generated<boolean>;
  through_backlog: Generated<boolean>;
  expire_after_ms: number | null;
  created_at: Generated<Date>;
  updated_at: Generated<Date>;
  deleted_at: Date | null;
}

interface WebhookPayloadsTable {
  id: Generated<string>;
  accepted_at: Generated<Date>;
  deliver_at: Date | null;
  tenant: Generated<string>;
  event_type: string | null;
  content_type: string;
  headers: Record<string, string> | null;
  unfilterable: boolean | null;
  /** Null once its retention is over. */
  body: Buffer | null;
  channels: string[] | null;
  ordering_key: string | null;
}

interface DeliveriesTable {
  webhook_id: string;
  subscription_id: number;
  state: DeliveryState;
  attempt_count: number;
  next_attempt_at: Date | null;
  ended_at: Date | null;
  queued: Generated<boolean>;
  reason: string | null;
  schedule_offset: Generated<number | null>;
  probe_count: Generated<number>;
}

interface DeliveryAttemptsTable {
  id: Generated<number>;
  at: ColumnType<Date, Date | undefined, never>;
  webhook_id: string;
  subscription_id: number;
  attempt_number: number | null;
  status: AttemptStatus;
  response_code: number | null;
  error_code: string | null;
  error: string | null;
  duration_ms: number;
  dns_ms: number | null;
  connect_ms: number | null;
  tls_ms: number | null;
  first_byte_ms: number | null;
  webhook_timestamp: number | null;
  token: number | null;
  response_excerpt: string | null;
}

/** As PortalSettings of src/sessions/portal.ts. */
interface PortalColumn {
  readonly origins?: string[];
  readonly logo?: string | null;
  readonly accent?: string | null;
  readonly header?: string | null;
  readonly mode?: 'light' | 'dark' | 'auto';
}

interface TenantsTable {
  id: string;
  name: string | null;
  metadata: Record<string, string> | null;
  retention_ms: number | null;
  strict_event_types: Generated<boolean>;
  validate_event_types: Generated<boolean>;
  portal: ColumnType<PortalColumn | null, string | null | undefined, string | null>;
  created_at: Generated<Date>;
  updated_at: Generated<Date>;
  deleted_at: Date | null;
  /** Since when it is closed here, because it lives at another home; null: it is open. */
  closed_at: Date | null;
}

interface KeysTable {
  id: Generated<number>;
  tenant: string | null;
  hash: Buffer;
  hint: string;
  name: string | null;
  environment: 'live' | 'test';
  scopes: ('read' | 'send' | 'pull' | 'manage' | 'admin')[];
  created_at: Generated<Date>;
  expires_at: Date | null;
  last_used_at: Date | null;
  revoked_at: Date | null;
}

interface EventTypesTable {
  tenant: Generated<string>;
  name: string;
  description: string | null;
  schema: ColumnType<object | null, string | null | undefined, string | null>;
  example: ColumnType<unknown, string | null | undefined, string | null>;
  created_at: Generated<Date>;
  updated_at: Generated<Date>;
  archived_at: Date | null;
}

/** The tables that routes and services read through kysely, as `posthorn.<table>`. */
export interface Tables {
  'posthorn.subscriptions': SubscriptionsTable;
  'posthorn.webhook_payloads': WebhookPayloadsTable;
  'posthorn.deliveries': DeliveriesTable;
  'posthorn.delivery_attempts': DeliveryAttemptsTable;
  'posthorn.tenants': TenantsTable;
  'posthorn.keys': KeysTable;
  'posthorn.event_types': EventTypesTable;
}

export type Database = Kysely<Tables>;

/** Creates a kysely instance for a pool. The caller still ends the pool. */
export function createDatabase(pool: pg.Pool): Database {
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
}
