import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseRetrySchedule, type RetrySchedule } from '../deliveries/retry-schedule.ts';
import {
  type CircuitPolicy,
  DEFAULT_CIRCUIT,
  parseCircuitPolicy,
} from '../health/circuit-policy.ts';
import { type Networks, parseNetworks } from '../http/address-guard.ts';
import { type EgressProxy, parseEgressProxy } from '../http/egress-proxy.ts';
import { type Ports, parsePorts } from '../http/ports.ts';
import { OperatorError } from '../lib/errors.ts';
import { nearest } from '../lib/nearest-name.ts';
import { parseRate, type Rate } from '../lib/rate.ts';
import { parseSealingKeys, type SealingKey } from '../lib/sealing.ts';
import type { TracingSettings } from '../tracing/tracing.ts';
import { readGiven } from './given.ts';
import {
  asItIs,
  databaseWithoutCredentials,
  type KnownSetting,
  listInForce,
  neverShown,
  type SettingInForce,
  withoutCredentials,
} from './in-force.ts';
import { type MailSettings, mailSettings } from './mail.ts';
import { CLIENT_VARIABLES } from './profiles.ts';
import {
  adminKey,
  bodyLimit,
  durationBetween,
  durationOrOff,
  eventTypePatterns,
  hostNames,
  mailFrom,
  oneOf,
  otlpEndpoint,
  postgresUrl,
  processCount,
  publicUrl,
  smtpUrl,
  trimmed,
  wholeNumber,
} from './setting-readers.ts';
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
  readonly maxInFlight: number;
  /** How many subscriptions have series of their own in `/metrics`. */
  readonly metricsSubscriptions: number;
  /** Processes that share the port and the work; a supervisor starts them if there are several. */
  readonly processes: number;
  readonly logLevel: LogLevel;
  /** Undefined: traces are not exported. */
  readonly tracing: TracingSettings | undefined;
  /** Undefined: there is no mail server. */
  readonly mail: MailSettings | undefined;
  /** All settings as texts without secrets, for people. */
  readonly inForce: readonly SettingInForce[];
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** A setting of the environment: its default as text, its meaning for the README, and its reader. */
interface Setting<T> extends KnownSetting {
  readonly read: (text: string) => T;
}

function setting<T>(fallback: string, meaning: string, read: (text: string) => T): Setting<T> {
  return { fallback, meaning, show: asItIs, read };
}

function optional<T>(
  meaning: string,
  read: (text: string) => T,
  show: KnownSetting['show'] = asItIs,
): Setting<T | undefined> {
  return { fallback: undefined, meaning, show, read };
}

/** The settings by their names in the environment. A test compares the README's table with it. */
export const SETTINGS = {
  PORT: setting('5000', 'Port of the API', wholeNumber(0, 65_535)),
  HOST: setting('127.0.0.1', 'Address that the API listens on', trimmed),
  DATABASE_URL: optional(
    'URL of the Postgres to use. It may name several hosts, of which Posthorn uses the primary. Unset: Posthorn starts an embedded Postgres',
    postgresUrl,
    databaseWithoutCredentials,
  ),
  POSTHORN_REPORTING_URL: optional(
    'URL of a replica of the Postgres, from which lists of history, figures and exports are read. Unset: they are read from `DATABASE_URL`',
    postgresUrl,
    databaseWithoutCredentials,
  ),
  POSTHORN_DATA_DIR: setting('.posthorn', 'Folder with the data of the embedded Postgres', trimmed),
  POSTHORN_ROLE: setting(
    'all',
    '`api` answers requests, `worker` sends deliveries, `all` does both',
    oneOf(['all', 'api', 'worker']),
  ),
  POSTHORN_RETRY_SCHEDULE: setting(
    '5s,5m,30m,2h,5h,10h,14h,20h,24h',
    'Delays before attempts 2, 3, …, each with ±20 % jitter. Or `exponential(base=10s,factor=2,max=1h,attempts=8)`',
    parseRetrySchedule,
  ),
  POSTHORN_DELIVERY_TIMEOUT: setting(
    '15s',
    'Time limit of an attempt, from DNS to the last byte of the answer',
    durationBetween(100, 5 * 60_000, '100ms to 5m'),
  ),
  POSTHORN_CIRCUIT: setting(
    DEFAULT_CIRCUIT,
    'The circuit of a receiver opens after `failures` in a row over at least the time `over`. Then Posthorn holds its deliveries and sends only probes: the first after `probe`, each further one after twice the time, up to `max`. `off`: never',
    parseCircuitPolicy,
  ),
  POSTHORN_DISABLE_AFTER: setting(
    '5d',
    'A subscription is disabled when it has failed for this long without a success. `off`: never',
    durationOrOff(1_000, 365 * 86_400_000, '1s to 365d'),
  ),
  POSTHORN_ALLOW_NETWORKS: setting(
    '',
    'Private networks (CIDR) that deliveries may reach, such as `127.0.0.0/8,::1/128`',
    parseNetworks,
  ),
  POSTHORN_DENY_NETWORKS: setting(
    '',
    'Public networks (CIDR) that deliveries may not reach: your own, and those of your NAT64',
    parseNetworks,
  ),
  POSTHORN_ALLOW_PORTS: setting(
    '',
    'Ports that deliveries may reach besides 80 and 443, such as `8080,9000-9100`; `*`: all ports. Loopback, once allowed, is open on all ports',
    parsePorts,
  ),
  POSTHORN_EGRESS_PROXY: optional(
    'HTTP proxy (CONNECT) for all deliveries, as `http://user:password@host:port`',
    parseEgressProxy,
    withoutCredentials,
  ),
  POSTHORN_MAX_BODY: setting(
    '1MiB',
    'Largest payload that is accepted, up to `64MiB`. A larger payload is refused with 413, in SQL with `54000`',
    bodyLimit,
  ),
  POSTHORN_RETENTION: setting(
    '30d',
    'How long history is kept. It is dropped a day at a time; a day with an unfinished delivery is kept',
    durationBetween(86_400_000, 3650 * 86_400_000, '1d to 3650d'),
  ),
  POSTHORN_FAILED_RETENTION: optional(
    'How long failed deliveries are kept, with their webhooks and attempts, if that is longer than `POSTHORN_RETENTION`. Unset: as `POSTHORN_RETENTION`',
    durationBetween(86_400_000, 3650 * 86_400_000, '1d to 3650d'),
  ),
  POSTHORN_PAYLOAD_RETENTION: optional(
    'How long payloads and answers are kept; the history of a webhook stays without them. A webhook with an unfinished delivery keeps them. Unset: as `POSTHORN_RETENTION`',
    durationBetween(3_600_000, 3650 * 86_400_000, '1h to 3650d'),
  ),
  POSTHORN_ARCHIVE_DIR: optional(
    'Folder to which each day of history is exported before it is dropped, as Parquet files without payloads and answers. All workers must share it. Unset: history is dropped without an export',
    trimmed,
  ),
  POSTHORN_ADMIN_KEY: optional(
    'Makes requests need a key: this key, or an API key. Required if `HOST` is not loopback, unless `POSTHORN_AUTH` is `off`',
    adminKey,
    neverShown,
  ),
  POSTHORN_AUTH: setting(
    'on',
    '`off` allows a `HOST` that is not loopback without `POSTHORN_ADMIN_KEY`',
    oneOf(['on', 'off']),
  ),
  POSTHORN_ALLOW_HOSTS: optional(
    'Names that requests without `POSTHORN_ADMIN_KEY` may have as their `Host`, besides `localhost` and loopback addresses, such as `posthorn,hooks.internal`. Unset: none if `HOST` is loopback, else any',
    hostNames,
  ),
  POSTHORN_PUBLIC_URL: optional(
    'URL by which browsers reach the service, such as `https://hooks.example.com`; links to portals begin with it. Unset: the address of the request that creates the link',
    publicUrl,
  ),
  POSTHORN_PUBLIC_CATALOGUE: optional(
    'Event types of the tenant `default` that everybody may read without a key at `/catalogue`, such as `order.*,invoice.paid`; `*`: all. Unset: there is no public catalogue',
    eventTypePatterns,
  ),
  POSTHORN_ENCRYPTION_KEY: optional(
    'Encrypts secrets in the database: 32 bytes in base64 or hex. Of several keys, separated by commas, the first encrypts and all decrypt',
    parseSealingKeys,
    neverShown,
  ),
  POSTHORN_RATE_LIMIT: setting(
    'off',
    'Requests that a key may make to each process, such as `100/1s` or `6000/1m`; further requests get 429',
    parseRate,
  ),
  POSTHORN_TENANT_RATE_LIMIT: setting(
    'off',
    'The same for all keys of a tenant together, and for its signed requests to `/ingest`',
    parseRate,
  ),
  POSTHORN_SHUTDOWN_GRACE: setting(
    '20s',
    'How long a process that stops waits for its deliveries in flight',
    durationBetween(0, 10 * 60_000, '0s to 10m'),
  ),
  POSTHORN_PROCESSES: setting(
    '1',
    'Number of processes under a supervisor, which replaces processes that die. About a third of them serve the API, the others deliver. `auto`: one process per core',
    processCount,
  ),
  POSTHORN_MAX_IN_FLIGHT: setting(
    '1000',
    'Requests that a worker may have in flight to all receivers',
    wholeNumber(25, 20_000),
  ),
  POSTHORN_METRICS_SUBSCRIPTIONS: setting(
    '0',
    'How many subscriptions have series of their own in `/metrics`, by their id; the others share one. `/metrics` needs no key',
    wholeNumber(0, 10_000),
  ),
  LOG_LEVEL: setting(
    'info',
    '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
    oneOf(LOG_LEVELS),
  ),
  POSTHORN_SMTP_URL: optional(
    'Mail server for notices to people, as `smtp://user:password@host:587`, or `smtps://` for TLS from the start. Needs `POSTHORN_MAIL_FROM`. Unset: no e-mail',
    smtpUrl,
    withoutCredentials,
  ),
  POSTHORN_MAIL_FROM: optional(
    'Sender of e-mails, such as `Posthorn <posthorn@example.com>`',
    mailFrom,
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    'URL of an OpenTelemetry collector that gets traces by OTLP over HTTP, such as `http://127.0.0.1:4318`. The other variables of OpenTelemetry apply too, such as `OTEL_TRACES_SAMPLER` and `OTEL_EXPORTER_OTLP_HEADERS`. Unset: no traces',
    otlpEndpoint,
    withoutCredentials,
  ),
} as const;

export type SettingName = keyof typeof SETTINGS;

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

  // The last ones are of commands that call the service.
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
    maxInFlight: value('POSTHORN_MAX_IN_FLIGHT'),
    metricsSubscriptions: value('POSTHORN_METRICS_SUBSCRIPTIONS'),
    processes: value('POSTHORN_PROCESSES'),
    logLevel: value('LOG_LEVEL'),
    tracing: tracingSettings(value('OTEL_EXPORTER_OTLP_ENDPOINT'), given, env, problems),
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
