import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { RetrySchedule } from '../deliveries/retry-schedule.ts';
import type { CircuitPolicy } from '../health/circuit-policy.ts';
import type { Networks } from '../http/address-guard.ts';
import type { EgressProxy } from '../http/egress-proxy.ts';
import type { Ports } from '../http/ports.ts';
import { OperatorError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest-name.ts';
import type { Rate } from '../lib/rate.ts';
import type { SealingKey } from '../lib/sealing.ts';
import type { TracingSettings } from '../tracing/tracing.ts';
import { readGiven } from './given.ts';
import { listInForce, type SettingInForce } from './in-force.ts';
import { type LogLevel, SETTINGS, type SettingName } from './known-settings.ts';
import { type MailSettings, mailSettings } from './mail.ts';
import { type PlacementSettings, placementSettings } from './placement.ts';
import { CLIENT_VARIABLES } from './profiles.ts';
import { tracingSettings } from './tracing.ts';

/** Which parts of the service a process runs: the API, the worker, or both. */
export type Role = 'all' | 'api' | 'worker';

/** All settings, read once at start-up and never changed. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  /** Unset: an embedded Postgres in `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** A replica that reports are read from; undefined: they are read from the primary. */
  readonly reportingUrl: string | undefined;
  readonly dataDir: string;
  readonly role: Role;
  readonly retrySchedule: RetrySchedule;
  /** The time limit of an attempt, from DNS to the last byte of the answer. */
  readonly deliveryTimeoutMs: number;
  readonly allowNetworks: Networks;
  readonly denyNetworks: Networks;
  readonly allowPorts: Ports;
  /** Unset: Posthorn connects to receivers directly. */
  readonly egressProxy: EgressProxy | undefined;
  readonly maxBodyBytes: number;
  /** When a circuit opens and how it is probed; null: never. */
  readonly circuit: CircuitPolicy | null;
  /** A subscription is disabled when it has failed for this long without a success; null: never. */
  readonly disableAfterMs: number | null;
  readonly retentionMs: number;
  /** How long failed deliveries are kept, with their webhooks and attempts; at least the retention. */
  readonly failedRetentionMs: number;
  /** How long payloads and answers are kept; at most the retention. */
  readonly payloadRetentionMs: number;
  /** Where history is exported before it is dropped; undefined: it is not exported. */
  readonly archiveDir: string | undefined;
  readonly adminKey: string | undefined;
  /** True when requests need a key: the admin key or an API key. */
  readonly authRequired: boolean;
  /** The names, besides those of loopback, by which requests without a key may call the API; undefined: the default. */
  readonly allowHosts: ReadonlySet<string> | undefined;
  /** The URL by which browsers reach the service, without a slash at its end; undefined: that of each request. */
  readonly publicUrl: string | undefined;
  /** Patterns of the event types that everybody may read; undefined: none. */
  readonly publicCatalogue: readonly string[] | undefined;
  /** The first key encrypts secrets at rest, all keys decrypt; no key: secrets are stored as plain text. */
  readonly encryptionKeys: readonly SealingKey[];
  /** Requests of a key to this process; undefined: no limit. */
  readonly rateLimit: Rate | undefined;
  /** Requests of a tenant to this process; undefined: no limit. */
  readonly tenantRateLimit: Rate | undefined;
  readonly shutdownGraceMs: number;
  /** How long a process that stops still takes requests. The grace period of requests in flight begins after it. */
  readonly shutdownDelayMs: number;
  readonly maxInFlight: number;
  /** How many subscriptions have series of their own in `/metrics`. */
  readonly metricsSubscriptions: number;
  /** Processes that share the port and the work; a supervisor starts them if there are several. */
  readonly processes: number;
  readonly logLevel: LogLevel;
  /** Undefined: traces are not exported. */
  readonly tracing: TracingSettings | undefined;
  /** The directory of tenants that this Posthorn shares with others; undefined: all tenants live here. */
  readonly placement: PlacementSettings | undefined;
  /** Undefined: there is no mail server. */
  readonly mail: MailSettings | undefined;
  /** All settings as texts without secrets, for people. */
  readonly inForce: readonly SettingInForce[];
}

/**
 * Reads the settings from the environment. A setting that the environment does not have is read from
 * a `.env` file in the working directory.
 *
 * @throws OperatorError that lists every wrong setting, with what would be right.
 */
export function loadSettings(
  env: Record<string, string | undefined> = process.env,
  workingDir: string = process.cwd(),
): Settings {
  const problems: string[] = [];
  const given = readGiven(env, workingDir);

  // The last ones are of commands.
  const known = [...Object.keys(SETTINGS), ...CLIENT_VARIABLES];
  for (const name of Object.keys(given)) {
    if (!name.startsWith('POSTHORN_') || known.includes(name) || name.startsWith('POSTHORN_TEST_'))
      continue;
    const suggestion = nearestSetting(name, known);
    problems.push(`${name} is not a setting${suggestion ? `; did you mean ${suggestion}?` : ''}`);
  }

  function value<N extends SettingName>(name: N): ReturnType<(typeof SETTINGS)[N]['read']> {
    const { fallback, read } = SETTINGS[name];
    const text = given[name] ?? fallback;
    if (text === undefined) return undefined as never;
    try {
      return read(text) as never;
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
      return undefined as never;
    }
  }

  const host = value('HOST');
  const adminKeyGiven = value('POSTHORN_ADMIN_KEY');
  const auth = value('POSTHORN_AUTH');
  const retentionMs = value('POSTHORN_RETENTION');
  const settings: Settings = {
    host,
    port: value('PORT'),
    databaseUrl: value('DATABASE_URL'),
    reportingUrl: value('POSTHORN_REPORTING_URL'),
    dataDir: resolve(workingDir, value('POSTHORN_DATA_DIR') ?? ''),
    role: value('POSTHORN_ROLE'),
    retrySchedule: value('POSTHORN_RETRY_SCHEDULE'),
    deliveryTimeoutMs: value('POSTHORN_DELIVERY_TIMEOUT'),
    allowNetworks: value('POSTHORN_ALLOW_NETWORKS'),
    denyNetworks: value('POSTHORN_DENY_NETWORKS'),
    allowPorts: value('POSTHORN_ALLOW_PORTS'),
    egressProxy: value('POSTHORN_EGRESS_PROXY'),
    maxBodyBytes: value('POSTHORN_MAX_BODY'),
    circuit: value('POSTHORN_CIRCUIT'),
    disableAfterMs: value('POSTHORN_DISABLE_AFTER'),
    retentionMs,
    failedRetentionMs: value('POSTHORN_FAILED_RETENTION') ?? retentionMs,
    payloadRetentionMs: value('POSTHORN_PAYLOAD_RETENTION') ?? retentionMs,
    archiveDir: value('POSTHORN_ARCHIVE_DIR') || undefined,
    adminKey: adminKeyGiven,
    authRequired: adminKeyGiven !== undefined,
    allowHosts: value('POSTHORN_ALLOW_HOSTS'),
    publicUrl: value('POSTHORN_PUBLIC_URL'),
    publicCatalogue: value('POSTHORN_PUBLIC_CATALOGUE'),
    encryptionKeys: value('POSTHORN_ENCRYPTION_KEY') ?? [],
    rateLimit: value('POSTHORN_RATE_LIMIT'),
    tenantRateLimit: value('POSTHORN_TENANT_RATE_LIMIT'),
    shutdownGraceMs: value('POSTHORN_SHUTDOWN_GRACE'),
    shutdownDelayMs: value('POSTHORN_SHUTDOWN_DELAY'),
    maxInFlight: value('POSTHORN_MAX_IN_FLIGHT'),
    metricsSubscriptions: value('POSTHORN_METRICS_SUBSCRIPTIONS'),
    processes: value('POSTHORN_PROCESSES'),
    logLevel: value('LOG_LEVEL'),
    tracing: tracingSettings(value('OTEL_EXPORTER_OTLP_ENDPOINT'), given, env, problems),
    placement: placementSettings(value('POSTHORN_DIRECTORY_URL'), value('POSTHORN_HOME'), problems),
    mail: mailSettings(value('POSTHORN_SMTP_URL'), value('POSTHORN_MAIL_FROM'), problems),
    inForce: listInForce(SETTINGS, given, env),
  };
  if (settings.payloadRetentionMs > settings.retentionMs) {
    problems.push(
      'POSTHORN_PAYLOAD_RETENTION is longer than POSTHORN_RETENTION, but payloads are dropped with their history; make it shorter, or leave it out',
    );
  }
  if (settings.failedRetentionMs < settings.retentionMs) {
    problems.push(
      'POSTHORN_FAILED_RETENTION is shorter than POSTHORN_RETENTION, but failed deliveries are part of the history; make it longer, or leave it out',
    );
  }
  const open = given.POSTHORN_ADMIN_KEY === undefined && auth === 'on';
  if (host !== undefined && settings.role !== 'worker' && open && !isLoopback(host)) {
    problems.push(
      `HOST=${host} would serve the API to the network without a key; set POSTHORN_ADMIN_KEY, or POSTHORN_AUTH=off if a proxy in front of it authenticates requests`,
    );
  }
  if (problems.length > 0) {
    throw new OperatorError(
      problems.length === 1
        ? `Bad setting: ${problems[0]}`
        : `Bad settings:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
    );
  }
  return Object.freeze(settings);
}

/**
 * Reads the settings for a command that works with the database and serves nothing, so any HOST is fine without a key.
 *
 * @throws OperatorError as `loadSettings` does.
 */
export function loadDatabaseSettings(): Pick<
  Settings,
  'databaseUrl' | 'reportingUrl' | 'dataDir' | 'encryptionKeys' | 'placement'
> {
  return loadSettings({ ...process.env, HOST: '127.0.0.1' });
}

/** Compares names without their prefix, so that POSTHORN_PORT is nearer to PORT than to POSTHORN_ROLE. */
function nearestSetting(name: string, known: string[]): string | undefined {
  const bare = (text: string) => text.replace(/^POSTHORN_/, '');
  const suggestion = nearest(bare(name), known.map(bare));
  return known.find((setting) => bare(setting) === suggestion);
}

/** True if only this machine can reach a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  return (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
}
