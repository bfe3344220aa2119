import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { runMigrations } from 'graphile-worker';
import pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { connectOrExplain } from './connect.ts';
import { createPool } from './pool.ts';
import { silentQueueLogger } from './queue-logger.ts';

const MIGRATIONS_DIR = new URL('../../migrations/', import.meta.url);
const OLDEST_POSTGRES = 150_000;
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';
/**
 * A migration that waits for a lock holds up all who come after it, readers too. So while somebody's
 * transaction is open on the tables (an application that sends from SQL, a backup) it gives up after
 * a moment, lets the others pass, and tries again.
 */
const LOCK_TIMEOUT_MS = 200;
const TRY_AGAIN_MS = 1_000;
/** Held while migrating, so that processes which start together take turns. */
const MIGRATION_LOCK = 7_823_114_600_517;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly appliedAt: Date | null;
}

export interface MigrateOptions {
  /** Told each time that a migration could not have its locks, with who is in the way. */
  readonly onWait?: (name: string, blockedBy: string) => void;
}

/**
 * Brings the database to the schema that this version knows: graphile-worker's own migrations,
 * ours, and the partitions of the coming week. Several processes may call it at once. It holds nobody
 * up for longer than a moment, and waits for as long as somebody's transaction is in its way.
 *
 * @returns the migrations that were applied by this call.
 * @throws OperatorError when the database cannot be reached, is older than Postgres 15, or has a
 *   newer schema than this version knows.
 */
export async function migrate(
  databaseUrl: string,
  { onWait = () => {} }: MigrateOptions = {},
): Promise<Migration[]> {
  const client = await connectOrExplain(databaseUrl, 'migrate');
  try {
    await requireSupportedServer(client);
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
    const pending = (await compare(client, databaseUrl)).filter(
      ({ appliedAt }) => appliedAt === null,
    );
    await migrateQueue(databaseUrl);
    if (pending.length > 0) await makeRoom(client);
    const applied: Migration[] = [];
    for (const { version, name } of pending) {
      applied.push({
        version,
        name,
        appliedAt: await applyPatiently(client, version, name, onWait),
      });
    }
    await client.query(
      `select posthorn.ensure_partitions((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 7)`,
    );
    return applied;
  } catch (error) {
    const reason = error instanceof Error && error.cause !== undefined ? error.cause : error;
    if (errorCode(reason) !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new OperatorError(
      `The user of ${describe(databaseUrl)} may not migrate it (${errorMessage(reason)}). Grant it create on the database, or run posthorn migrate as a user who may.`,
    );
  } finally {
    await client.end();
  }
}

/** For the migrations: who may not create schemas can have them made, and needs nothing when up to date. */
async function makeRoom(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select to_regnamespace('posthorn') is not null as schema,
       to_regclass('posthorn.migrations') is not null as list`,
  );
  if (!rows[0].schema) await client.query('create schema posthorn');
  if (rows[0].list) return;
  await client.query(`
    create table posthorn.migrations (
      version integer primary key,
      name text not null,
      applied_at timestamptz not null default now()
    )`);
}

/**
 * The migrations this version has, each with when it was applied to the database, or null.
 *
 * @throws OperatorError as `migrate` does.
 */
export async function migrationStatus(databaseUrl: string): Promise<Migration[]> {
  const client = await connectOrExplain(databaseUrl, 'migrate');
  try {
    await requireSupportedServer(client);
    return await compare(client, databaseUrl);
  } finally {
    await client.end();
  }
}

async function compare(client: pg.Client, databaseUrl: string): Promise<Migration[]> {
  const known = await knownMigrations();
  const applied = new Map<number, Date>();
  const { rows: exists } = await client.query(
    `select to_regclass('posthorn.migrations') is not null as yes`,
  );
  if (exists[0].yes) {
    const { rows } = await client.query('select version, applied_at from posthorn.migrations');
    for (const row of rows) applied.set(row.version, row.applied_at);
  }
  const newest = Math.max(0, ...known.map(({ version }) => version));
  const newestApplied = Math.max(0, ...applied.keys());
  if (newestApplied > newest) {
    throw new OperatorError(
      `The database ${describe(databaseUrl)} has schema ${newestApplied}, but this Posthorn knows only ${newest}. Run the newer Posthorn that migrated it.`,
    );
  }
  return known.map(({ version, name }) => ({
    version,
    name,
    appliedAt: applied.get(version) ?? null,
  }));
}

async function knownMigrations(): Promise<{ version: number; name: string }[]> {
  const files = (await readdir(MIGRATIONS_DIR))
    .filter((file) => /^\d{4}_.+\.sql$/.test(file))
    .sort();
  return files.map((file) => ({ version: Number(file.slice(0, 4)), name: file }));
}

async function applyPatiently(
  client: pg.Client,
  version: number,
  name: string,
  onWait: NonNullable<MigrateOptions['onWait']>,
): Promise<Date> {
  for (;;) {
    try {
      return await apply(client, version, name);
    } catch (error) {
      if (errorCode((error as Error).cause) !== LOCK_NOT_AVAILABLE) throw error;
      onWait(name, await oldestTransaction(client));
      await sleep(TRY_AGAIN_MS);
    }
  }
}

/** Whose transaction has been open for the longest: most likely the one that is in the way. */
async function oldestTransaction(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ pid: number; name: string; seconds: number }>(
    `select pid, application_name as name, extract(epoch from now() - xact_start)::integer as seconds
     from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
     order by xact_start
     limit 1`,
  );
  const [oldest] = rows;
  return oldest === undefined
    ? 'a transaction that has ended by now'
    : `the transaction of pid ${oldest.pid} ("${oldest.name}"), open for ${oldest.seconds} s`;
}

async function apply(client: pg.Client, version: number, name: string): Promise<Date> {
  const sql = await readFile(new URL(name, MIGRATIONS_DIR), 'utf8');
  await client.query('begin');
  try {
    await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query(sql);
    const { rows } = await client.query(
      'insert into posthorn.migrations (version, name) values ($1, $2) returning applied_at',
      [version, name],
    );
    await client.query('commit');
    return rows[0].applied_at;
  } catch (error) {
    await client.query('rollback');
    throw new Error(`Migration ${name} failed and was rolled back`, { cause: error });
  }
}

async function migrateQueue(databaseUrl: string): Promise<void> {
  const pool = createPool({ connectionString: databaseUrl, purpose: 'migrate', max: 2 });
  try {
    await runMigrations({ pgPool: pool, preset: { worker: { logger: silentQueueLogger } } });
  } finally {
    await pool.end();
  }
}

async function requireSupportedServer(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select current_setting('server_version_num')::integer as number, current_setting('server_version') as name`,
  );
  if (rows[0].number < OLDEST_POSTGRES) {
    throw new OperatorError(
      `Postgres ${rows[0].name} is too old: Posthorn needs version 15 or newer (18 is best).`,
    );
  }
}

function describe(databaseUrl: string): string {
  const { database, host } = new pg.Client({ connectionString: databaseUrl });
  return `"${database}" on ${host}`;
}
