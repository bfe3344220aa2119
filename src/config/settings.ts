import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
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
import { nearest } from '../lib/nearest.ts';
import { parseRate, type Rate } from '../lib/rate.ts';
import { parseSealingKeys, type SealingKey } from '../lib/sealing.ts';
import {
  adminKey,
  bodyLimit,
  durationBetween,
  durationOrOff,
  oneOf,
  postgresUrl,
  processCount,
  trimmed,
  wholeNumber,
} from './setting-readers.ts';

/** Which halves of the service a process runs. */
export type Role = 'all' | 'api' | 'worker';

/** Everything that can be set from outside, read once at start-up and never changed. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  /** Unset: an embedded Postgres in `dataDir`. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly role: Role;
  readonly retrySchedule: RetrySchedule;
  /** One bound from DNS to the last byte of the answer. */
  readonly deliveryTimeoutMs: number;
  readonly allowNetworks: Networks;
  readonly denyNetworks: Networks;
  readonly allowPorts: Ports;
  /** Unset: deliveries go straight to their receivers. */
  readonly egressProxy: EgressProxy | undefined;
  readonly maxBodyBytes: number;
  /** When a circuit opens and how it is probed; null: never. */
  readonly circuit: CircuitPolicy | null;
  /** Failing for so long without a success, a subscription is disabled; null: never. */
  readonly disableAfterMs: number | null;
  readonly retentionMs: number;
  /** Of payloads and of answers; at most the retention. */
  readonly payloadRetentionMs: number;
  readonly adminKey: string | undefined;
  /** True when every request must show the admin key. */
  readonly authRequired: boolean;
  /** The first one encrypts secrets at rest, all of them decrypt; none: secrets are stored plain. */
  readonly encryptionKeys: readonly SealingKey[];
  /** Of a key, in this process; undefined: without a limit. */
  readonly rateLimit: Rate | undefined;
  /** Of a tenant, in this process; undefined: without a limit. */
  readonly tenantRateLimit: Rate | undefined;
  readonly shutdownGraceMs: number;
  readonly maxInFlight: number;
  /** Processes that share the port and the work; above 1 there is a supervisor over them. */
  readonly processes: number;
  readonly logLevel: LogLevel;
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type LogLevel = (typeof LOG_LEVELS)[number];

/** One setting of the environment: how it is read, its default as written, and what it means. */
interface Setting<T> {
  readonly fallback: string | undefined;
  readonly meaning: string;
  readonly read: (text: string) => T;
}

function setting<T>(fallback: string, meaning: string, read: (text: string) => T): Setting<T> {
  return { fallback, meaning, read };
}

function optional<T>(meaning: string, read: (text: string) => T): Setting<T | undefined> {
  return { fallback: undefined, meaning, read };
}

/** The settings by their names in the environment. The README's table is checked against it. */
export const SETTINGS = {
  PORT: setting('5000', 'Port of the API', wholeNumber(0, 65_535)),
  HOST: setting('127.0.0.1', 'Address the API listens on', trimmed),
  DATABASE_URL: optional('Postgres to use. Unset: an embedded Postgres is started', postgresUrl),
  POSTHORN_DATA_DIR: setting('.posthorn', 'Where the embedded Postgres keeps its data', trimmed),
  POSTHORN_ROLE: setting('all', '`all`, `api` or `worker`', oneOf(['all', 'api', 'worker'])),
  POSTHORN_RETRY_SCHEDULE: setting(
    '5s,5m,30m,2h,5h,10h,14h,20h,24h',
    'Delays before attempts 2, 3, …; ±20 % jitter. Also `exponential(base=10s,factor=2,max=1h,attempts=8)`',
    parseRetrySchedule,
  ),
  POSTHORN_DELIVERY_TIMEOUT: setting(
    '15s',
    'Bound of one attempt, from DNS to the last byte of the answer',
    durationBetween(100, 5 * 60_000, '100ms to 5m'),
  ),
  POSTHORN_CIRCUIT: setting(
    DEFAULT_CIRCUIT,
    'After so many failures in a row, over at least such a time, all is held and only probes are sent: after 5s, 10s, … up to 5m. `off`: never',
    parseCircuitPolicy,
  ),
  POSTHORN_DISABLE_AFTER: setting(
    '5d',
    'A subscription that fails for so long without one success is disabled. `off`: never',
    durationOrOff(1_000, 365 * 86_400_000, '1s to 365d'),
  ),
  POSTHORN_ALLOW_NETWORKS: setting(
    '',
    'CIDRs that deliveries may reach although they are private, such as `127.0.0.0/8,::1/128`',
    parseNetworks,
  ),
  POSTHORN_DENY_NETWORKS: setting(
    '',
    'CIDRs that deliveries may not reach although they are public: your own, and those of your NAT64',
    parseNetworks,
  ),
  POSTHORN_ALLOW_PORTS: setting(
    '',
    'Ports that deliveries may reach besides 80 and 443, such as `8080,9000-9100`; `*`: all. Loopback, once allowed, is open on all',
    parsePorts,
  ),
  POSTHORN_EGRESS_PROXY: optional(
    'Proxy that all deliveries leave by (CONNECT), as `http://user:password@host:port`',
    parseEgressProxy,
  ),
  POSTHORN_MAX_BODY: setting(
    '1MiB',
    'Larger payloads are refused with 413, and in SQL with `54000`; at most `64MiB`',
    bodyLimit,
  ),
  POSTHORN_RETENTION: setting(
    '30d',
    'History older than this is dropped, a day at a time; never while a delivery is owed',
    durationBetween(86_400_000, 3650 * 86_400_000, '1d to 3650d'),
  ),
  POSTHORN_PAYLOAD_RETENTION: optional(
    'Payloads and answers older than this are erased, their history stays; never while a delivery is owed. Unset: as `POSTHORN_RETENTION`',
    durationBetween(3_600_000, 3650 * 86_400_000, '1h to 3650d'),
  ),
  POSTHORN_ADMIN_KEY: optional(
    'When set, requests need a key: this one, or one that was made by it; needed unless `HOST` is loopback',
    adminKey,
  ),
  POSTHORN_AUTH: setting(
    'on',
    '`off` serves a non-loopback `HOST` although no key is set',
    oneOf(['on', 'off']),
  ),
  POSTHORN_ENCRYPTION_KEY: optional(
    'Encrypts secrets in the database: 32 bytes in base64 or hex; with commas several, of which the first encrypts and all decrypt',
    parseSealingKeys,
  ),
  POSTHORN_RATE_LIMIT: setting(
    'off',
    'Requests that a key may make, such as `100/1s` or `6000/1m`, in each process; more get 429',
    parseRate,
  ),
  POSTHORN_TENANT_RATE_LIMIT: setting(
    'off',
    'The same for all keys of a tenant together, and for what is handed in by signature',
    parseRate,
  ),
  POSTHORN_SHUTDOWN_GRACE: setting(
    '20s',
    'How long a stop waits for deliveries in flight',
    durationBetween(0, 10 * 60_000, '0s to 10m'),
  ),
  POSTHORN_PROCESSES: setting(
    '1',
    'Processes under one supervisor, which starts anew what dies: a third serve the API, the others deliver; `auto`: one a core',
    processCount,
  ),
  POSTHORN_MAX_IN_FLIGHT: setting(
    '1000',
    'Requests to receivers that a worker has open at once',
    wholeNumber(25, 20_000),
  ),
  LOG_LEVEL: setting('info', 'trace, debug, info, warn, error, fatal or silent', oneOf(LOG_LEVELS)),
} as const;

type SettingName = keyof typeof SETTINGS;

/**
 * Reads the settings from the environment and, for what is not set there, from a `.env` file in
 * the working directory.
 *
 * @throws OperatorError listing every setting that is wrong, in plain words.
 */
export function loadSettings(
  env: Record<string, string | undefined> = process.env,
  workingDir: string = process.cwd(),
): Settings {
  const problems: string[] = [];
  const given = readGiven(env, workingDir);

  const known = Object.keys(SETTINGS);
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
    payloadRetentionMs: value('POSTHORN_PAYLOAD_RETENTION') ?? retentionMs,
    adminKey: adminKeyGiven,
    authRequired: adminKeyGiven !== undefined,
    encryptionKeys: value('POSTHORN_ENCRYPTION_KEY') ?? [],
    rateLimit: value('POSTHORN_RATE_LIMIT'),
    tenantRateLimit: value('POSTHORN_TENANT_RATE_LIMIT'),
    shutdownGraceMs: value('POSTHORN_SHUTDOWN_GRACE'),
    maxInFlight: value('POSTHORN_MAX_IN_FLIGHT'),
    processes: value('POSTHORN_PROCESSES'),
    logLevel: value('LOG_LEVEL'),
  };
  if (settings.payloadRetentionMs > settings.retentionMs) {
    problems.push(
      'POSTHORN_PAYLOAD_RETENTION is longer than POSTHORN_RETENTION, and payloads are dropped with their history; make it shorter, or leave it out',
    );
  }
  const open = given.POSTHORN_ADMIN_KEY === undefined && auth === 'on';
  if (host !== undefined && settings.role !== 'worker' && open && !isLoopback(host)) {
    problems.push(
      `HOST=${host} would serve the API to the network without a key; set POSTHORN_ADMIN_KEY, or POSTHORN_AUTH=off if something in front of it checks who asks`,
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
 * The admin key alone, found as `loadSettings` does: who only calls a service need not have the
 * settings to run one.
 *
 * @throws OperatorError when it cannot be a key.
 */
export function loadAdminKey(
  env: Record<string, string | undefined> = process.env,
  workingDir: string = process.cwd(),
): string | undefined {
  const text = readGiven(env, workingDir).POSTHORN_ADMIN_KEY;
  if (text === undefined) return undefined;
  try {
    return adminKey(text);
  } catch (error) {
    throw new OperatorError(`Bad setting: POSTHORN_ADMIN_KEY: ${(error as Error).message}`);
  }
}

/** Compared without their prefix, so that POSTHORN_PORT is nearer to PORT than to POSTHORN_ROLE. */
function nearestSetting(name: string, known: string[]): string | undefined {
  const bare = (text: string) => text.replace(/^POSTHORN_/, '');
  const suggestion = nearest(bare(name), known.map(bare));
  return known.find((setting) => bare(setting) === suggestion);
}

/** Whether only this machine can reach a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  return (isIP(host) === 4 && host.startsWith('127.')) || host === '::1';
}

function readGiven(
  env: Record<string, string | undefined>,
  workingDir: string,
): Record<string, string> {
  return { ...readDotEnv(workingDir), ...withoutEmpty(env) };
}

function readDotEnv(workingDir: string): Record<string, string> {
  const path = resolve(workingDir, '.env');
  if (!existsSync(path)) return {};
  try {
    return withoutEmpty(parseEnv(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new OperatorError(
      `The settings in ${path} cannot be read (${(error as Error).message}). Make it a file that this user may read, or remove it.`,
    );
  }
}

/** An empty variable, or a blank one, is unset: compose files and shells make them by accident. */
function withoutEmpty(env: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => (entry[1] ?? '').trim() !== '',
    ),
  );
}
