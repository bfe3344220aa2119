import type pg from 'pg';
import { connectOrExplain } from '../db/connect.ts';
import type { Target } from '../db/hosts.ts';
import { createPool } from '../db/pool.ts';

/** Time limit for reading a part of a day. */
const TIMEOUT_MS = 5 * 60_000;

/**
 * Runs work on a connection for exports, whose statements may take as long as a part of a day that Postgres does not
 * have in memory.
 *
 * @param target which of several servers is used if the URL does not say; left out: the primary.
 * @throws OperatorError saying what to do, when the server cannot be reached or refuses the user.
 */
export async function withArchiveClient(
  databaseUrl: string,
  work: (client: pg.ClientBase) => Promise<void>,
  target?: Target,
): Promise<void> {
  // A pool does not say what is wrong.
  await (await connectOrExplain(databaseUrl, 'archive', target)).end();
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'archive',
    max: 1,
    ...(target && { target }),
    timeoutMs: TIMEOUT_MS,
  });
  try {
    const client = await pool.connect();
    try {
      await work(client);
    } finally {
      client.release(true);
    }
  } finally {
    await pool.end();
  }
}
