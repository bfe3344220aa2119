// What we rely on in graphile-worker beyond its types: its SQL objects, the order in which it asks the
// database, and the texts of its messages. An upgrade that changes it fails here first.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { run, type WorkerEvents } from 'graphile-worker';
import t from 'tap';
import { watchStatements } from '../../src/db/driver.ts';
import { createPool } from '../../src/db/pool.ts';
import { silentQueueLogger } from '../../src/db/queue-logger.ts';
import { type Internal, testInternals } from '../helpers/contract.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DIST = dirname(createRequire(import.meta.url).resolve('graphile-worker'));

const url = await createTestDatabase(t);
const client = await connect(t, url);

async function read<T>(text: string): Promise<T[]> {
  const { rows } = await client.query<{ value: T }>(text);
  return rows.map(({ value }) => value);
}

const argumentsOf = (name: string) =>
  read<string>(
    `select pg_get_function_arguments(p.oid) as value from pg_proc p
     where p.pronamespace = 'graphile_worker'::regnamespace and p.proname = '${name}'`,
  );
const columnsOf = (relation: string) =>
  read<string>(
    `select attname || ' ' || format_type(atttypid, atttypmod) as value from pg_attribute
     where attrelid = 'graphile_worker.${relation}'::regclass and attnum > 0 and not attisdropped
     order by attnum`,
  );

/** The SQL objects of graphile-worker that our SQL names, and what we need of each. */
const OBJECTS: Readonly<Record<string, Omit<Internal, 'of'>>> = {
  job_spec: {
    that: 'the type `job_spec` has these fields in this order, which our SQL gives by their place',
    usedBy:
      'schema/functions/accept.sql (also accept_general.sql, add_deliver_jobs.sql, src/deliveries/jobs.sql.ts)',
    async check() {
      assert.deepEqual(await columnsOf('job_spec'), [
        'identifier text',
        'payload json',
        'queue_name text',
        'run_at timestamp with time zone',
        'max_attempts smallint',
        'job_key text',
        'priority smallint',
        'flags text[]',
      ]);
    },
  },
  add_jobs: {
    that: '`add_jobs` takes an array of specs, and returns a row with an `id` for each',
    usedBy: 'schema/functions/add_deliver_jobs.sql (also src/deliveries/jobs.sql.ts)',
    async check() {
      const ids = await read(
        `select job.id as value from graphile_worker.add_jobs(array[
           ('a test', '{}', null, null, 32767, null, 1, null)::graphile_worker.job_spec,
           ('a test', '{}', null, null, null, null, null, null)::graphile_worker.job_spec]) as job`,
      );
      assert.equal(ids.length, 2);
    },
  },
  add_job: {
    that: '`add_job` takes a task and its payload, and by name `run_at`, `max_attempts` and `job_key`',
    usedBy: 'src/deliveries/requeue.sql.ts (also src/bulk-operations/store.ts)',
    async check() {
      const [given = ''] = await argumentsOf('add_job');
      assert.match(given, /^identifier text, payload json DEFAULT/);
      for (const name of ['run_at timestamp', 'max_attempts', 'job_key text'])
        assert(given.includes(`, ${name}`), `there is no ${name} in: ${given}`);
    },
  },
  jobs: {
    that: 'the view `jobs` has `task_identifier`, `run_at` and `locked_at`',
    usedBy: 'src/deliveries/wake.sql.ts',
    async check() {
      const columns = await columnsOf('jobs');
      for (const name of [
        'task_identifier text',
        'run_at timestamp with time zone',
        'locked_at timestamp with time zone',
      ])
        assert(columns.includes(name), `there is no ${name} in: ${columns}`);
    },
  },
  force_unlock_workers: {
    that: '`force_unlock_workers` takes the ids of pools (`locked_by` of their jobs), and ends their locks',
    usedBy: 'src/maintenance/worker-lease.ts',
    async check() {
      assert.deepEqual(await argumentsOf('force_unlock_workers'), ['worker_ids text[]']);
      const [id] = await read<string>(
        `select id::text as value from graphile_worker.add_job('a locked test')`,
      );
      // By hand, as graphile-worker's `get_job` does it.
      await client.query(
        `update graphile_worker._private_jobs set locked_by = 'a pool', locked_at = now() where id = ${id}`,
      );
      await client.query(`select graphile_worker.force_unlock_workers('{a pool}')`);
      const locked = await read(
        `select locked_by as value from graphile_worker.jobs where id = ${id}`,
      );
      assert.deepEqual(locked, [null]);
    },
  },
};

/** Parts of messages by which src/db/queue-logger.ts knows them. */
const MESSAGES = [
  'Error occurred whilst returning jobs from local queue to database queue: ',
  'WARNING: having maxPoolSize',
  'Your job batch size',
];

testInternals(t, [
  ...Object.values(OBJECTS).map((object) => ({ of: 'graphile-worker', ...object }) as const),
  ...MESSAGES.map(
    (message) =>
      ({
        of: 'graphile-worker',
        that: `a message begins "${message}"`,
        usedBy: 'src/db/queue-logger.ts',
        check() {
          const files = readdirSync(DIST, { recursive: true, encoding: 'utf8' });
          const has = files.some(
            (name) =>
              name.endsWith('.js') && readFileSync(join(DIST, name), 'utf8').includes(message),
          );
          assert(has, 'no file of it has this text');
        },
      }) as const,
  ),
  {
    of: 'graphile-worker',
    that: 'it takes and completes jobs on connections that it takes out of the pool, by statements that name `_private_jobs`, and tells of itself by `pool:create`, `localQueue:getJobs:complete` and `job:start`',
    usedBy: 'src/queue/runner.ts (also watch-pool.ts)',
    async check() {
      const pool = createPool({ connectionString: url, purpose: 'queue', max: 3 });
      try {
        const texts = { taken: '', completed: '' };
        watchStatements(pool, ({ text, byPool }) => {
          if (byPool || !text.includes('_private_jobs')) return;
          if (/skip locked/i.test(text)) texts.taken = text;
          else if (/delete from/i.test(text)) texts.completed = text;
        });
        const events: WorkerEvents = new EventEmitter();
        const told = new Set<string>();
        for (const name of ['pool:create', 'localQueue:getJobs:complete', 'job:start'] as const)
          events.on(name, () => told.add(name));
        const done = Promise.withResolvers<void>();
        await client.query(`select graphile_worker.add_job('contract')`);
        const runner = await run({
          pgPool: pool,
          taskList: { contract: async () => done.resolve() },
          noHandleSignals: true,
          preset: {
            worker: {
              events,
              logger: silentQueueLogger,
              concurrentJobs: 2,
              localQueue: { size: 2 },
              completeJobBatchDelay: 0,
            },
          },
        });
        await done.promise;
        await runner.stop();
        assert.deepEqual([...told].sort(), [
          'job:start',
          'localQueue:getJobs:complete',
          'pool:create',
        ]);
        assert.notEqual(texts.taken, '', 'no statement took the job');
        assert.notEqual(texts.completed, '', 'no statement completed the job');
      } finally {
        await pool.end();
      }
    },
  },
]);

t.test('our SQL names no other object of graphile-worker than those tested here', async (t) => {
  const named = new Set<string>();
  for (const folder of ['src', 'schema/functions', 'schema/views', 'migrations', 'tasks'])
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })) {
      if (!/\.(ts|sql)$/.test(name)) continue;
      for (const [, object = ''] of readFileSync(join(ROOT, folder, name), 'utf8').matchAll(
        /\bgraphile_worker\.(\w+)/g,
      ))
        named.add(object);
    }
  t.strictSame([...named].sort(), Object.keys(OBJECTS).sort());
});
