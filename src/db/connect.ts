import type pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { HostClient, type HostClientConfig } from './host-client.ts';
import { WrongServer } from './host-finder.ts';
import type { Target } from './hosts.ts';
import { connectionConfig } from './pool.ts';
import { configure } from './session-settings.ts';

/**
 * Opens one connection, which has the settings that our statements rely on.
 *
 * @param target which of several servers is used if the URL does not say; left out: the primary.
 * @throws OperatorError as `openOrExplain` does.
 */
export async function connectOrExplain(
  databaseUrl: string,
  purpose: string,
  target?: Target,
): Promise<pg.Client> {
  return await open(connectionConfigOf(databaseUrl, purpose, target), configure);
}

/** A pooler without a free server lets its clients wait. */
const QUERY_TIMEOUT_MS = 10_000;

/**
 * Opens one connection, without any settings: a pooler may give its session to strangers. Statements on it must be
 * quick.
 *
 * @throws OperatorError saying what to do, when the server cannot be reached or refuses the user. The
 *   message never contains the password.
 */
export async function openOrExplain(databaseUrl: string, purpose: string): Promise<pg.Client> {
  const config = { ...connectionConfigOf(databaseUrl, purpose), query_timeout: QUERY_TIMEOUT_MS };
  return await open(config, async () => {});
}

function connectionConfigOf(...given: Parameters<typeof connectionConfig>): HostClientConfig {
  try {
    return connectionConfig(...given);
  } catch (error) {
    throw new OperatorError(`DATABASE_URL cannot be read: ${errorMessage(error)}`);
  }
}

async function open(
  config: HostClientConfig,
  prepare: (client: pg.Client) => Promise<void>,
): Promise<pg.Client> {
  const client = new HostClient(config);
  client.on('error', () => {});
  try {
    await client.connect();
    await prepare(client);
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    throw new OperatorError(explain(error, client), { cause: error });
  }
}

function explain(error: unknown, { host, port, user, database }: pg.Client): string {
  const place = `${host}:${port}`;
  if (error instanceof WrongServer) return `${error.message}. Check DATABASE_URL.`;
  const code = error instanceof AggregateError ? errorCode(error.errors[0]) : errorCode(error);
  switch (code) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return `No Postgres answers at ${place}. Start it, or correct DATABASE_URL (unset it to use the embedded one).`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `The host name ${host} in DATABASE_URL cannot be resolved. Correct it, or check DNS.`;
    case '28P01':
    case '28000':
      return `Postgres at ${place} refuses user "${user}": ${errorMessage(error)}. Correct the user or password in DATABASE_URL.`;
    case '3D000':
      return `Postgres at ${place} has no database "${database}". Create it (createdb ${database}), or correct DATABASE_URL.`;
    case '42501':
      return `User "${user}" has a setting in "${database}" that Posthorn cannot work with and may not change: ${errorMessage(error)}. Reset it (alter role ${user} reset …, or alter database ${database} reset …).`;
    case '53300':
      return `Postgres at ${place} has no free connections. Raise its max_connections, or stop programs that use them.`;
    default:
      return `Cannot connect to Postgres at ${place}: ${errorMessage(error)}. Check DATABASE_URL.`;
  }
}
