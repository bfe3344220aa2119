import pg from 'pg';
import { VERSION } from '../version.ts';
import { VALUE_PARSERS } from './driver.ts';
import { HostClient, type HostClientConfig, withServers } from './host-client.ts';
import type { Target } from './hosts.ts';
import { refuseWithoutAnswers } from './no-answer.ts';
import { configure } from './session-settings.ts';
import { clientInTransactions } from './transaction-pooling.ts';

export interface PoolOptions {
  readonly connectionString: string;
  /** Shown in `pg_stat_activity`. */
  readonly purpose: string;
  readonly max: number;
  /**
   * The longest time for a statement. Postgres cancels it shortly before (SQLSTATE 57014); if there is no
   * answer even then, the connection is closed.
   */
  readonly timeoutMs?: number;
  /** The longest time until a connection is open; left out: 5 s. */
  readonly connectTimeoutMs?: number;
  /** Which of several servers is used if the URL does not say; left out: the primary. */
  readonly target?: Target;
  /** Postgres settings of every connection of the pool, such as `POOL_PLANS` (planner.ts). */
  readonly settings?: Readonly<Record<string, string>>;
  /** True if a pooler gives each transaction another session (pooling.ts). */
  readonly sharesSessions?: boolean;
}

/**
 * The connection settings of all of Posthorn's clients, for a `HostClient`.
 *
 * @throws Error if the URL cannot be read; the message contains no password.
 */
export function connectionConfig(
  connectionString: string,
  purpose: string,
  target?: Target,
): HostClientConfig {
  const config = {
    application_name: `posthorn ${VERSION} ${purpose}`,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    // After that, Node sends ten probes, one a second, so a dead idle connection (LISTEN) is found within
    // twenty seconds instead of hours.
    keepAliveInitialDelayMillis: 10_000,
    types: VALUE_PARSERS,
  };
  return withServers(connectionString, config, target);
}

/**
 * Ten times what any statement takes. A client of the API waits this long if packets are dropped. After this time
 * a statement of a process that has ended, or has lost its connection, is no longer running in Postgres.
 */
export const TIMEOUT_MS = 5_000;
/**
 * A connection keeps the plans of its prepared statements, and some of these name the days of history that were live
 * then (live-history.ts). Their number would grow with each day.
 */
const LIFETIME_SECONDS = 4 * 3600;
/** Longer than the minute after which an idle process looks around, so that it does not open connections for that. */
const IDLE_MS = 90_000;
/** The share of the timeout after which Postgres cancels; the rest is for its answer to arrive. */
const SERVER_SHARE = 0.9;

/**
 * Creates a pool that survives the loss of connections: a lost connection is replaced when it is next
 * needed, and an error there goes to the caller. If packets are dropped, the statement timeout detects it;
 * TCP alone would take a quarter of an hour. A statement that is merely slow is cancelled in Postgres: its
 * connection stays, and other callers are not refused.
 */
export function createPool(options: PoolOptions): pg.Pool {
  const { connectionString, purpose, max, timeoutMs = TIMEOUT_MS, sharesSessions } = options;
  // Without statement_timeout a statement that timed out here would go on running in Postgres and use a core.
  const statement_timeout = `${Math.floor(timeoutMs * SERVER_SHARE)}ms`;
  const settings = { statement_timeout, ...options.settings };
  const pool = new pg.Pool({
    ...connectionConfig(connectionString, purpose, options.target),
    ...(options.connectTimeoutMs && { connectionTimeoutMillis: options.connectTimeoutMs }),
    Client: sharesSessions ? clientInTransactions(settings) : HostClient,
    max,
    query_timeout: timeoutMs,
    idleTimeoutMillis: IDLE_MS,
    maxLifetimeSeconds: LIFETIME_SECONDS,
    ...(sharesSessions ? {} : { onConnect: (client) => configure(client, settings) }),
  });
  pool.on('error', () => {});
  // If a connection breaks while it is in use, its query fails too; the event adds nothing.
  pool.on('connect', (client) => client.on('error', () => {}));
  refuseWithoutAnswers(pool);
  return pool;
}
