import { parseRetrySchedule } from '../deliveries/retry-schedule.ts';
import { DEFAULT_CIRCUIT, parseCircuitPolicy } from '../health/circuit-policy.ts';
import { parseNetworks } from '../http/address-guard.ts';
import { parseEgressProxy } from '../http/egress-proxy.ts';
import { parsePorts } from '../http/ports.ts';
import { parseRate } from '../lib/rate.ts';
import { parseSealingKeys } from '../lib/sealing.ts';
import {
  asItIs,
  databaseWithoutCredentials,
  type KnownSetting,
  neverShown,
  withoutCredentials,
} from './in-force.ts';
import {
  adminKey,
  bodyLimit,
  durationBetween,
  durationOrOff,
  eventTypePatterns,
  homeName,
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

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
  POSTHORN_DIRECTORY_URL: optional(
    'URL of the Postgres that has the directory of tenants, if several Posthorns share them ([docs/placement.md](docs/placement.md)). Needs `POSTHORN_HOME`. Unset: all tenants live in this database',
    postgresUrl,
    databaseWithoutCredentials,
  ),
  POSTHORN_HOME: optional('Name of this Posthorn in the directory, such as `db1`', homeName),
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
  POSTHORN_SHUTDOWN_DELAY: setting(
    '0s',
    'How long a process that stops still takes requests, while `/readyz` answers 503, so that balancers stop sending them first',
    durationBetween(0, 5 * 60_000, '0s to 5m'),
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
