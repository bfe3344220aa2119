import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '#src/db/embedded/postgres.ts';

/** The Postgres server of a run. */
export interface BenchPostgres {
  readonly version: string;
  /** Null if the server's processes cannot be seen from here. */
  readonly pid: number | null;
  /** The path of the server's log; null if it is not an embedded Postgres. */
  readonly logPath: string | null;
  /**
   * Creates an empty database, and returns its URL. With `statementTimes`, Postgres measures the statements in
   * it, if it is embedded; this costs some microseconds for each.
   */
  createDatabase(options?: { readonly statementTimes?: boolean }): Promise<string>;
  /**
   * Returns the milliseconds in which the statements of a database were planned and executed, by
   * pg_stat_statements; null if they are not measured.
   */
  statementMs(databaseUrl: string): Promise<number | null>;
  dropDatabase(url: string): Promise<void>;
  /** Writes all dirty pages to disk, so that a measurement does not pay for the previous one. */
  settle(): Promise<void>;
  /** Returns the committed transactions of a database, as far as its connections have reported them. */
  commits(databaseUrl: string): Promise<number>;
  /** Returns the bytes of WAL written so far. */
  walBytes(): Promise<number>;
  stop(): Promise<void>;
}

/** Loads pg_stat_statements, which is part of the embedded Postgres, and switches it off. */
const STATEMENT_TIMES = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'none',
  'pg_stat_statements.track_planning': 'on',
};

/** Starts an embedded Postgres, with the settings that `posthorn start` gives it, or uses `DATABASE_URL`. */
export async function startBenchPostgres(
  serverSettings: Record<string, string> = {},
): Promise<BenchPostgres> {
  const given = process.env.DATABASE_URL;
  const embedded =
    given === undefined
      ? await startEmbeddedPostgres(join(process.cwd(), '.posthorn-bench'), {
          serverSettings: { ...STATEMENT_TIMES, ...serverSettings },
        })
      : undefined;
  const url = given ?? (embedded?.url as string);
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(
    `select current_setting('server_version') as version, pg_backend_pid() as backend`,
  );
  const onDatabase = (name: string) => {
    const other = new URL(url.replace('@/', '@localhost/'));
    other.pathname = `/${name}`;
    return url.includes('@/') ? other.href.replace('@localhost/', '@/') : other.href;
  };
  return {
    version: rows[0].version,
    pid: embedded === undefined ? null : await postmasterOf(rows[0].backend),
    logPath: embedded === undefined ? null : join(embedded.dataDir, 'postgres.log'),
    async createDatabase({ statementTimes = false } = {}) {
      const name = `bench_${randomBytes(4).toString('hex')}`;
      await client.query(`create database ${name}`);
      if (statementTimes && embedded !== undefined) {
        await client.query('create extension if not exists pg_stat_statements');
        await client.query(`alter database ${name} set pg_stat_statements.track = 'top'`);
      }
      return onDatabase(name);
    },
    async statementMs(databaseUrl) {
      if (embedded === undefined) return null;
      const { rows } = await client.query(
        `select sum(total_plan_time + total_exec_time) as ms
         from pg_stat_statements(false) join pg_database on pg_database.oid = dbid
         where datname = $1`,
        [nameOf(databaseUrl)],
      );
      return rows[0].ms;
    },
    async commits(databaseUrl) {
      const { rows } = await client.query(
        'select xact_commit from pg_stat_database where datname = $1',
        [nameOf(databaseUrl)],
      );
      return Number(rows[0].xact_commit);
    },
    async dropDatabase(databaseUrl) {
      const name = nameOf(databaseUrl);
      await client.query(`drop database if exists ${name} with (force)`);
    },
    async settle() {
      await client.query('checkpoint');
    },
    async walBytes() {
      const result = await client.query(
        `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes`,
      );
      return result.rows[0].bytes;
    },
    async stop() {
      await client.end();
      await embedded?.stop();
    },
  };
}

function nameOf(databaseUrl: string): string {
  return new URL(databaseUrl.replace('@/', '@localhost/')).pathname.slice(1);
}

async function postmasterOf(backend: number): Promise<number> {
  const stat = await readFile(`/proc/${backend}/stat`, 'latin1');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}
