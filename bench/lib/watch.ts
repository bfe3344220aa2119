import pg from 'pg';
import { memoryMiB, processesOf } from './usage.ts';

/** What was seen of a service while something went on. */
export interface Watched {
  /** Rows of the queue's own table, at most. */
  readonly mostJobs: number;
  /** What the largest process had resident, at each look. */
  readonly memoryMiB: readonly number[];
}

/** Looks at a service's queue and memory from time to time, until it is stopped. */
export async function watch(
  databaseUrl: string,
  pid: number,
  everyMs: number,
): Promise<{ stop(): Promise<Watched> }> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const processes = processesOf(pid);
  const memory: number[] = [];
  let mostJobs = 0;
  let look: Promise<void> | undefined;
  const timer = setInterval(() => {
    memory.push(Math.max(...processes.map(memoryMiB)));
    look ??= client
      .query<{ jobs: number }>(
        'select count(*)::integer as jobs from graphile_worker._private_jobs',
      )
      .then(({ rows }) => {
        mostJobs = Math.max(mostJobs, rows[0]?.jobs ?? 0);
        look = undefined;
      });
  }, everyMs);
  return {
    async stop() {
      clearInterval(timer);
      await look;
      await client.end();
      return { mostJobs, memoryMiB: memory };
    },
  };
}

/** How many deliveries are held. */
export async function heldIn(databaseUrl: string): Promise<number> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ held: number }>(
      `select count(*)::integer as held from posthorn.deliveries where state = 'held'`,
    );
    return rows[0]?.held ?? 0;
  } finally {
    await client.end();
  }
}
