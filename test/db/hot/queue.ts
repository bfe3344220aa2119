import { run } from 'graphile-worker';
import pg from 'pg';
import { silentQueueLogger } from '../../../src/db/queue-logger.ts';
import { requeue } from '../../../src/deliveries/requeue.sql.ts';
import { found, type Hot } from './samples.ts';

/** Jobs that wait for later, and jobs that are due. */
const LATER = 20_000;
const DUE = 100;
const TOGETHER = 2;

/** The statements of graphile-worker, each named after its purpose. */
interface Asked {
  readonly take: pg.QueryConfig;
  readonly complete: pg.QueryConfig;
}

/** Statements of graphile-worker, as it sends them, on a queue of many jobs. */
export async function ofQueue(databaseUrl: string): Promise<Hot[]> {
  const { take, complete } = await learn(databaseUrl);
  return [
    {
      what: 'take and complete jobs',
      pool: 'queue',
      rows: DUE,
      async run(pool) {
        const { rows } = await pool.query<{ id: string }>(take);
        found(rows, rows.length, 20);
        const { rowCount } = await pool.query({ ...complete, values: [rows.map(({ id }) => id)] });
        found(rowCount, rowCount ?? 0, 0);
      },
    },
    {
      what: 'hand a job back',
      pool: 'general',
      rows: 1,
      run: (pool) => requeue(pool, { attempt: 1, bytes: 1, webhooks: [], subscriptions: [] }),
    },
  ];
}

/** Runs a pool of graphile-worker for a moment, and listens to its statements. */
async function learn(databaseUrl: string): Promise<Asked> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  const asked: pg.QueryConfig[] = [];
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      if (typeof args[0] === 'object') asked.push(args[0] as pg.QueryConfig);
      return query(...args);
    }) as typeof client.query;
  });
  const add = (count: number, runAt: string) =>
    pool.query(
      `select count(*) from graphile_worker.add_jobs((
         select array_agg(('deliver', '{}', null, ${runAt}, 32767, null, null, null)::graphile_worker.job_spec)
         from generate_series(1, ${count})))`,
    );
  try {
    await add(LATER, `now() + interval '1 hour'`);
    await add(TOGETHER, 'now()');
    const done = Promise.withResolvers<void>();
    let running = 0;
    const runner = await run({
      pgPool: pool,
      // They end together, so that one statement completes them.
      taskList: {
        deliver: async () => {
          running += 1;
          if (running === TOGETHER) done.resolve();
          await done.promise;
        },
      },
      noHandleSignals: true,
      preset: {
        worker: {
          logger: silentQueueLogger,
          concurrentJobs: 40,
          localQueue: { size: 40 },
          completeJobBatchDelay: 20,
        },
      },
    });
    await done.promise;
    await runner.stop();
    await add(DUE, 'now()');
  } finally {
    await pool.end();
  }
  const of = (words: RegExp) => {
    const statement = asked.find(({ text }) => words.test(text) && /_private_jobs/.test(text));
    if (statement === undefined) throw new Error(`graphile-worker asked nothing like ${words}`);
    return statement;
  };
  return { take: of(/skip locked/i), complete: of(/delete from[^;]*unnest/i) };
}
