import type pg from 'pg';
import type { Logger } from 'pino';
import { CONCURRENT_REQUESTS } from '../api/plugins/turns.ts';
import type { Settings } from '../config/settings.ts';
import { endSoon } from '../db/end-soon.ts';
import { POOL_PLANS } from '../db/planner.ts';
import { createPool } from '../db/pool.ts';
import { createReplica, type Replica } from '../db/replica.ts';

/** For reads and rare statements; intake, deliveries and the queue have their own connections. */
const POOL_CONNECTIONS = 5;
/** For lists of history, which share their few prepared statements. No tenant may use all of them at once. */
const LIST_CONNECTIONS = CONCURRENT_REQUESTS;
/** For event streams: one for all that follow, one for those that are behind. Opened when a client comes. */
const STREAM_CONNECTIONS = 2;

/** Connections to the database that the whole process shares. They are opened when they are first used. */
export interface Pools {
  readonly pool: pg.Pool;
  readonly listPool: pg.Pool;
  readonly streamPool: pg.Pool;
  /** Undefined: reports are read from the primary. */
  readonly replica: Replica | undefined;
  /** The pools by their names in the metrics. */
  readonly byName: Readonly<Record<string, pg.Pool>>;
  /** Closes all of them. */
  end(): Promise<void>;
}

/** @param sharesSessions whether a pooler gives each transaction another session (db/pooling.ts). */
export function createPools(
  { role, reportingUrl }: Settings,
  databaseUrl: string,
  sharesSessions: boolean,
  log: Logger,
): Pools {
  const database = { connectionString: databaseUrl, sharesSessions };
  const pool = createPool({ ...database, purpose: role, max: POOL_CONNECTIONS });
  const listPool = createPool({
    ...database,
    purpose: 'lists',
    max: LIST_CONNECTIONS,
    settings: POOL_PLANS.lists,
  });
  const streamPool = createPool({
    ...database,
    purpose: 'streams',
    max: STREAM_CONNECTIONS,
    settings: POOL_PLANS.lists,
  });
  const replica =
    reportingUrl === undefined
      ? undefined
      : createReplica({ url: reportingUrl, connections: LIST_CONNECTIONS, log });
  const byName = {
    api: pool,
    lists: listPool,
    streams: streamPool,
    ...(replica && { reports: replica.pool }),
  };
  return {
    pool,
    listPool,
    streamPool,
    replica,
    byName,
    end: () => endSoon(...Object.values(byName).map((one) => one.end())),
  };
}
