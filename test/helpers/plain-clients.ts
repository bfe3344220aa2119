import pg from 'pg';

/** Clients and pools of node-postgres as it comes, which end with the work that they are made for. */
export function clientsOf(url: string) {
  async function withClient<T>(
    work: (client: pg.Client) => Promise<T>,
    config: pg.ClientConfig = {},
  ): Promise<T> {
    const client = new pg.Client({ connectionString: url, ...config });
    client.on('error', () => {});
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }

  async function withPool<T>(work: (pool: pg.Pool) => Promise<T>, config: pg.PoolConfig = {}) {
    const pool = new pg.Pool({ connectionString: url, max: 1, ...config });
    pool.on('error', () => {});
    pool.on('connect', (client) => client.on('error', () => {}));
    try {
      return await work(pool);
    } finally {
      await pool.end();
    }
  }

  return { withClient, withPool };
}

/** Returns the error with which work fails. */
export async function errorOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it did not fail');
}
