import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { migrate } from '../../src/db/migrate.ts';
import { makeNextVersion } from '../helpers/version.ts';
import { type Postgres, startPostgres } from './lib/postgres.ts';
import { during, ended } from './lib/processes.ts';
import { promised, type Scenario, Skipped } from './lib/scenario.ts';

/** The number of rows in each of the three tables: webhooks, deliveries and attempts. */
const ROWS = 10_000_000;
const DAYS = 4;
const EVERY_MS = 50;
const BOUND_MS = 1_000;
/** For how long an application's transaction is in the way of the migrations. */
const OPEN_MS = 5_000;

export const migrations: Scenario = {
  name: 'migrations',
  promise: `migrating ${ROWS} webhooks, deliveries and attempts holds nobody up for a second`,
  quick: false,
  timeoutMs: 1_500_000,
  async run(run) {
    const postgres = await startPostgres(run, {
      settings: { shared_buffers: '512MB', max_wal_size: '8GB', checkpoint_timeout: '30min' },
    });
    const env = { ...process.env, DATABASE_URL: postgres.url, POSTHORN_DATA_DIR: run.dir };
    const next = join(run.dir, 'next');
    makeNextVersion(next);
    await migrate(postgres.url);
    const filledIn = performance.now();
    await fill(postgres, (day) => run.progress(`day ${day} of ${DAYS}`));
    const filledMs = performance.now() - filledIn;
    // A checkpoint first, so that the pages dirtied by filling do not slow down the migrations.
    await postgres.query('checkpoint');

    run.progress('migrating');
    const client = startClient(postgres.url);
    await during(5_000);
    const before = client.longest();
    if (before.ms > BOUND_MS / 2)
      throw new Skipped(`this machine is too busy: ${before.what} took ${before.ms} ms by itself`);
    // An application that sends from SQL, and takes its time to commit.
    const application = new pg.Client({ connectionString: postgres.url });
    await application.connect();
    run.onEnd(() => application.end().catch(() => {}));
    await application.query('begin');
    await application.query(`select posthorn.send('order.created', '{}')`);
    const began = performance.now();
    const migrating = spawn(process.execPath, [join(next, 'src', 'main.ts'), 'migrate'], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    run.onEnd(() => migrating.kill('SIGKILL'));
    const said = Promise.all([text(migrating.stdout), text(migrating.stderr)]);
    await during(OPEN_MS);
    await application.query('commit');
    await ended(migrating);
    const tookMs = performance.now() - began;
    await during(2_000);
    await client.stop();
    const [out, complaints] = await said;
    promised(migrating.exitCode === 0, `migrating failed: ${complaints}`);
    promised(
      /^applied 0002_next\.sql\napplied functions and views: .*\n$/.test(out),
      `not all was applied: ${out}`,
    );
    const [row] = await postgres.query<{ rows: number }>(
      `select sum(reltuples)::bigint::integer as rows from pg_class
       where relkind = 'r' and relname ~ '^(webhook_payloads|deliveries|delivery_attempts)_'`,
    );
    const longest = client.longest();
    promised(client.failed.length === 0, `a statement failed: ${client.failed[0]}`);
    promised(
      longest.ms <= BOUND_MS,
      `${longest.what} took ${longest.ms} ms while it migrated, ${before.ms} ms before`,
    );
    return {
      rows: row?.rows ?? 0,
      'filled in, s': Math.round(filledMs / 1000),
      [`migrating took, ms (${OPEN_MS} of them behind an open transaction)`]: Math.round(tookMs),
      'statements meanwhile': client.count,
      'longest, ms': longest.ms,
      'longest before, ms': before.ms,
    };
  },
};

/** Days of history, each filled before its indexes are built, which takes a tenth of the time. */
async function fill(postgres: Postgres, progress: (day: number) => void): Promise<void> {
  await postgres.query('set synchronous_commit = off');
  await postgres.query(`set maintenance_work_mem = '256MB'`);
  await postgres.query(`insert into posthorn.subscriptions (url)
    select 'http://127.0.0.1:9/' || n from generate_series(1, 10) n`);
  const perDay = ROWS / DAYS;
  for (let day = 1; day <= DAYS; day++) {
    progress(day);
    const [names] = await postgres.query<{
      suffix: string;
      start: string;
      from: string;
      to: string;
    }>(
      `select to_char(day, 'YYYYMMDD') as suffix, extract(epoch from day) * 1000 as start,
         posthorn.uuidv7_floor(day) as from, posthorn.uuidv7_floor(day + interval '1 day') as to
       from (select date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'
         - $1 * interval '1 day' as day) as days`,
      [day],
    );
    const { suffix, start, from, to } = names as NonNullable<typeof names>;
    // A UUIDv7 of its millisecond, and what it is the id of.
    const made = `(select n, ${start} + n * 86400000 / ${perDay} as ms,
        (lpad(to_hex((${start} + n * 86400000 / ${perDay})::bigint), 12, '0') || '7'
          || lpad(to_hex(n % 4096), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid as id
      from generate_series(0, ${perDay - 1}::bigint) as n) as made`;
    const rows = {
      webhook_payloads: `(id, accepted_at, content_type, body)
        select id, to_timestamp(ms / 1000.0), 'application/json', '{"n":1}' from ${made}`,
      deliveries: `(webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at)
        select id, 1 + n % 10, (case when n % 50 = 0 then 'failed' else 'succeeded' end)::posthorn.delivery_state,
          1, null, to_timestamp(ms / 1000.0) from ${made}`,
      delivery_attempts: `(at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
        select to_timestamp(ms / 1000.0), id, 1 + n % 10, 1,
          (case when n % 50 = 0 then 'failed' else 'success' end)::posthorn.attempt_status,
          case when n % 50 = 0 then 500 else 200 end, 20 + n % 100 from ${made}`,
    };
    for (const [table, values] of Object.entries(rows)) {
      const name = `posthorn.${table}_${suffix}`;
      await postgres.query(
        `create table ${name} (like posthorn.${table} including defaults including constraints including storage)`,
      );
      await postgres.query(`insert into ${name} ${values}`);
      await postgres.query(
        `alter table posthorn.${table} attach partition ${name} for values from ('${from}') to ('${to}')`,
      );
      await postgres.query(`vacuum (analyze, skip_locked) ${name}`);
    }
  }
}

interface Statement {
  readonly what: string;
  readonly ms: number;
}

/** Runs the statements of the old version and of people all the time, and times each statement. */
function startClient(databaseUrl: string) {
  const accept = `select ids[1] as id from posthorn.accept('{}', '{0}', '{2}', '{application/json}', '{1}', '{default}', '{null}')`;
  const failed: string[] = [];
  let longest: Statement = { what: 'nothing', ms: 0 };
  let count = 0;
  let stopped = false;

  async function converse(
    work: (
      run: (what: string, statement: string, values?: unknown[]) => Promise<pg.QueryResult>,
    ) => Promise<void>,
  ) {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    const run = async (what: string, statement: string, values?: unknown[]) => {
      const began = performance.now();
      try {
        return await client.query(statement, values);
      } finally {
        const ms = Math.round(performance.now() - began);
        count += 1;
        if (ms > longest.ms) longest = { what, ms };
      }
    };
    while (!stopped) {
      await work(run).catch((error: Error) => failed.push(error.message));
      await sleep(EVERY_MS);
    }
    await client.end();
  }

  const conversations = [
    converse(async (run) => {
      const { rows } = await run('accepting a webhook', accept);
      const { id } = rows[0];
      await run(
        'recording an attempt',
        `with recorded as (
           insert into posthorn.delivery_attempts
             (webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
           values ($1, 1, 1, 'success', 200, 7))
         update posthorn.deliveries set state = 'succeeded', attempt_count = 1, next_attempt_at = null, ended_at = now()
         where webhook_id = $1`,
        [id],
      );
    }),
    converse(async (run) => {
      await run(
        'reading a subscription',
        'select id, url, secret from posthorn.subscriptions where id = 1',
      );
      await run(
        'reading the log',
        'select * from posthorn.delivery_attempts where subscription_id = 1 order by at desc limit 10',
      );
    }),
    converse(async (run) => {
      await run(
        'reading a report',
        `select * from posthorn.delivery_report where webhook_id = posthorn.uuidv7_floor(now())`,
      );
    }),
  ];
  return {
    failed,
    longest: () => longest,
    get count() {
      return count;
    },
    async stop() {
      stopped = true;
      await Promise.all(conversations);
    },
  };
}
