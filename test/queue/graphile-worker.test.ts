// Posthorn relies on these parts of graphile-worker beyond its types: its SQL objects, the order in which it asks the
// database, and the texts of its messages. If an upgrade changes them, this test fails.
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { run, type WorkerEvents } from 'graphile-worker';
import type { Notification } from 'pg';
import t from 'tap';
import { LOCKS } from '../../src/db/advisory-locks.ts';
import { watchStatements } from '../../src/db/driver.ts';
import { createPool } from '../../src/db/pool.ts';
import { silentQueueLogger } from '../../src/db/queue-logger.ts';
import { type Internal, testInternals } from '../helpers/contract.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const DIST = dirname(createRequire(import.meta.url).resolve('graphile-worker'));

const url = await createTestDatabase(t);
const client = await connect(t, url);
// Without a worker that has to be notified, nobody is.
await (await connect(t, url)).query(`select pg_advisory_lock_shared(${LOCKS.listening})`);

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

/** The jobs that a statement adds, without ids, times and random numbers, and its notifications. */
async function jobsOf(statement: string) {
  const told: string[] = [];
  const listen = ({ channel, payload = '' }: Notification) =>
    told.push(`${channel} ${payload.replace(/"r":[^,]+,/, '')}`);
  await client.query('listen "jobs:insert"');
  client.on('notification', listen);
  try {
    await client.query('begin');
    await client.query(statement);
    const jobs = await read<Record<string, unknown>>(
      `select to_jsonb(j) - 'id' || jsonb_build_object('run_at', run_at = now(),
         'created_at', created_at = now(), 'updated_at', updated_at = now()) as value
       from graphile_worker._private_jobs j
       where xmin = pg_current_xact_id()::xid
       order by id`,
    );
    await client.query('commit');
    // Postgres sends the notifications of a session with the answer to its next statement at the latest.
    await client.query('unlisten "jobs:insert"');
    return { jobs, told };
  } finally {
    client.off('notification', listen);
  }
}

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
  migrations: {
    that: 'its newest migration is the one that add_deliver_jobs.sql names as `known_version`: compare its add_jobs with that function before you change the number',
    usedBy: 'schema/functions/add_deliver_jobs.sql',
    async check() {
      const [newest] = await read('select max(id) as value from graphile_worker.migrations');
      const file = join(ROOT, 'schema', 'functions', 'add_deliver_jobs.sql');
      const [, known] =
        /known_version constant integer := (\d+)/.exec(readFileSync(file, 'utf8')) ?? [];
      assert.equal(newest, Number(known));
    },
  },
  _private_tasks: {
    that: 'the table `_private_tasks` has the ids and names of tasks, and `deliver` is there from the start',
    usedBy: 'schema/functions/add_deliver_jobs.sql',
    async check() {
      const found = await read(
        `select identifier as value from graphile_worker._private_tasks where identifier = 'deliver' and id > 0`,
      );
      assert.deepEqual(found, ['deliver']);
    },
  },
  _private_jobs: {
    that: 'jobs inserted into `_private_jobs` equal those of `add_jobs`, and so do the notifications',
    usedBy: 'schema/functions/add_deliver_jobs.sql',
    async check() {
      const payloads = `array['{"a": 1}', '{"b": 2}']::json[]`;
      const ours = await jobsOf(`select posthorn.add_deliver_jobs(${payloads}, 2)`);
      const theirs = await jobsOf(
        `select graphile_worker.add_jobs(array(
           select ('deliver', payload, null, null, 32767, null, null, null)::graphile_worker.job_spec
           from unnest(${payloads}) as payload))`,
      );
      assert.equal(ours.jobs.length, 2);
      assert.deepEqual(ours, theirs);
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
    usedBy: 'src/maintenance/worker-beat.sql.ts',
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

t.test(
  'with an unknown version of graphile-worker, or without its task, jobs are added all the same',
  async (t) => {
    const other = await connect(t, await createTestDatabase(t));
    /** Whether `add_jobs` added the job, after a change of the queue's schema that is undone. */
    const addsByFunction = async (change: string, more = '') => {
      await other.query('begin');
      await other.query(`set local track_functions = 'all'`);
      await other.query(change);
      await other.query(`select posthorn.add_deliver_jobs(array['{}']::json[], 1${more})`);
      const { rows } = await other.query<{ jobs: number; called: boolean }>(
        `select
         (select count(*)::integer from graphile_worker.jobs
           where task_identifier = 'deliver' and (run_at > now()) = ${more !== ''}) as jobs,
         exists (select from pg_stat_xact_user_functions where funcname = 'add_jobs') as called`,
      );
      await other.query('rollback');
      t.equal(rows[0]?.jobs, 1, change);
      return rows[0]?.called;
    };
    const later = `, array[now() + interval '1 hour']`;
    t.equal(await addsByFunction('select 1'), false);
    t.equal(await addsByFunction('select 2', later), false);
    t.equal(await addsByFunction('delete from graphile_worker._private_tasks'), true);
    const newer =
      'insert into graphile_worker.migrations (id, breaking) select max(id) + 1, true from graphile_worker.migrations';
    t.equal(await addsByFunction(newer), true);
    t.equal(await addsByFunction(newer, later), true);
  },
);

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
