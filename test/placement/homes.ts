import pg from 'pg';
import type { Test } from 'tap';
import { joinDirectory } from '../../src/placement/join.ts';
import { freePort } from '../chaos/lib/processes.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { databaseOf } from '../helpers/urls.ts';

export const ADMIN_KEY = 'an admin key of some length';
export const admin = { authorization: `Bearer ${ADMIN_KEY}` };

/** A home of a test: a service on a database of its own. */
export interface TestHome extends TestService {
  readonly name: string;
  readonly client: pg.Client;
  /** Ends the service. */
  stop(): Promise<void>;
  /** Starts it again, on the same port. */
  restart(): Promise<void>;
}

/** Several homes, and a database of its own that has their directory. */
export interface TestHomes {
  readonly homes: readonly TestHome[];
  readonly directory: pg.Client;
  readonly directoryUrl: string;
  /** Makes the directory refuse connections, or take them again. */
  setAway(away: boolean): Promise<void>;
}

/** Starts homes with these names, which end with the test. */
export async function startHomes(
  t: Test,
  names: readonly string[],
  env: Record<string, string> = {},
): Promise<TestHomes> {
  const directoryUrl = await createTestDatabase(t);
  const directory = await connect(t, directoryUrl);
  const own = await connect(t, await createTestDatabase(t));
  const homes: TestHome[] = [];
  for (const name of names) {
    const databaseUrl = await createTestDatabase(t);
    const port = await freePort();
    await join(directoryUrl, databaseUrl, name, `http://127.0.0.1:${port}`);
    const settings = {
      DATABASE_URL: databaseUrl,
      PORT: String(port),
      POSTHORN_ADMIN_KEY: ADMIN_KEY,
      POSTHORN_DIRECTORY_URL: directoryUrl,
      POSTHORN_HOME: name,
      ...env,
    };
    const service = await startTestService(t, settings);
    const client = await connect(t, databaseUrl);
    homes.push({
      ...service,
      name,
      client,
      stop: () => service.service.stop(),
      restart: async () => void (await startTestService(t, settings)),
    });
  }
  const database = databaseOf(directoryUrl);
  return {
    homes,
    directory,
    directoryUrl,
    async setAway(away) {
      await own.query(`alter database ${database} with allow_connections ${!away}`);
      if (away)
        await own.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = $1 and application_name like 'posthorn %'`,
          [database],
        );
    },
  };
}

/** Adds a database to the directory. */
export async function join(
  directoryUrl: string,
  databaseUrl: string,
  name: string,
  apiUrl: string,
): Promise<void> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
  const directory = new pg.Pool({ connectionString: directoryUrl, max: 1 });
  try {
    await joinDirectory({ pool, directory, name, apiUrl, encryptionKeys: [] });
  } finally {
    await Promise.all([pool.end(), directory.end()]);
  }
}
