import pg from 'pg';
import { memoryMiB, processesOf } from './usage.ts';

/** The jobs and the memory of a service during a measurement. */
export interface Watched {
  /** The highest number of rows in the queue's table. */
  readonly mostJobs: number;
  /** The resident memory of the largest process, at each sample. */
  readonly memoryMiB: readonly number[];
}

/** Samples a service's queue and memory at intervals, until `stop` is called. */
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

/** Returns the number of held deliveries. */
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
