import { setTimeout as sleep } from 'node:timers/promises';
import { runMigrations } from 'graphile-worker';
import pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { VERSION } from '../version.ts';
import { MIGRATION_LOCK } from './advisory-locks.ts';
import { connectOrExplain, openOrExplain } from './connect.ts';
import { readConnectionString } from './hosts.ts';
import { BOOKKEEPING_TABLES, knownMigrations, readMigration } from './migration-files.ts';
import { makePartitions } from './partitions.ts';
import { createPool } from './pool.ts';
import { findPooling, requireSessions } from './pooling.ts';
import { silentQueueLogger } from './queue-logger.ts';
import { queueSql, queueVersion } from './queue-schema.ts';
import { applySchemaFiles, compareSchemaFiles } from './schema-files.ts';
import { settingsSql } from './session-settings.ts';

const OLDEST_POSTGRES = 150_000;
const INSUFFICIENT_PRIVILEGE = '42501';
const LOCK_NOT_AVAILABLE = '55P03';
/**
 * A migration that waits for a lock blocks every later statement on the table, reads too. So while another
 * transaction is open on the tables (of an application that sends from SQL, or a backup), the migration
 * gives up after this time, lets the other statements pass, and tries again.
 */
const LOCK_TIMEOUT_MS = 200;
const TRY_AGAIN_MS = 1_000;
/** Processes that start together take turns this quickly. */
const TRY_LOCK_MS = 100;

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly appliedAt: Date | null;
}

/** The migrations of this version of Posthorn, and which of them the database has. */
export interface MigrationStatus {
  readonly migrations: readonly Migration[];
  /** The functions and views to apply or drop, as files of schema/, such as `functions/send.sql`. */
  readonly changed: readonly string[];
}

/** The changes that one call of `migrate` made. */
export interface Migrated {
  readonly migrations: readonly Migration[];
  readonly changed: readonly string[];
}

export interface MigrateOptions {
  /** Called when a migration, or `functions and views`, cannot get its locks, with the transaction that blocks it. */
  readonly onWait?: (name: string, blockedBy: string) => void;
  /**
   * If it is given, nothing is applied by a user that may not create in the database; it is called if nothing need
   * be. So a team whose own tool applies the migrations (`posthorn migrate --sql`) keeps the service from it.
   */
  readonly onMayNotCreate?: () => void;
}

/**
 * Migrates the database to the schema of this version: graphile-worker's migrations, Posthorn's
 * migrations, functions and views, and the partitions of the coming week. Several processes may call it at
 * once. It blocks other statements for at most a moment (LOCK_TIMEOUT_MS), and waits for as long as
 * another transaction blocks it.
 *
 * @returns the changes that this call made.
 * @throws OperatorError when the database cannot be reached, or only through a pooler that shares sessions,
 *   where the lock would be left to a stranger; when it may only be read, is older than Postgres 15, has a newer
 *   schema than this version knows, or has an object of the operator that depends on a function to drop.
 */
export async function migrate(
  databaseUrl: string,
  { onWait = () => {}, onMayNotCreate }: MigrateOptions = {},
): Promise<Migrated> {
  requireSessions(await findPooling(databaseUrl));
  const client = await connectOrExplain(databaseUrl, 'migrate');
  try {
    await requireSupportedServer(client);
    await requireWriting(client, databaseUrl);
    await takeLock(client, onWait);
    const { migrations, changed } = await compare(client, databaseUrl);
    const pending = migrations.filter(({ appliedAt }) => appliedAt === null);
    const queueIsCurrent = await hasCurrentQueue(client);
    if (onMayNotCreate !== undefined && !(await mayCreate(client))) {
      if (!queueIsCurrent || pending.length + changed.length > 0)
        throw mayNotMigrate(client, migrations, databaseUrl);
      onMayNotCreate();
    }
    if (!queueIsCurrent)
      await applyPatiently(client, "graphile-worker's schema", onWait, async () =>
        client.query(await queueSql()),
      );
    await checkQueue(databaseUrl);
    if (pending.length + changed.length > 0) await createBookkeeping(client);
    const applied: Migration[] = [];
    for (const { version, name } of pending) {
      const appliedAt = await applyPatiently(client, name, onWait, () =>
        applyMigration(client, version, name),
      );
      applied.push({ version, name, appliedAt });
    }
    // In a transaction of its own, so that a migration does not keep its locks on tables meanwhile.
    if (pending.length + changed.length > 0) {
      await applyPatiently(client, 'functions and views', onWait, () => applySchemaFiles(client));
      await makePartitions(client, 1);
    }
    return { migrations: applied, changed };
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const reason = rootCause(error);
    if (errorCode(reason) !== INSUFFICIENT_PRIVILEGE) throw error;
    throw new OperatorError(
      `The user of ${describe(databaseUrl)} may not migrate it (${errorMessage(reason)}). Grant that user CREATE on the database, or run posthorn migrate as a user that may.`,
    );
  } finally {
    await client.end();
  }
}

/**
 * Takes the lock that lets one process migrate at a time, and tells of a wait that is longer than usual. It asks
 * again and again: while a statement waits, indexes cannot be created concurrently.
 */
async function takeLock(
  client: pg.Client,
  onWait: NonNullable<MigrateOptions['onWait']>,
): Promise<void> {
  const startedAt = performance.now();
  let told = false;
  for (;;) {
    const { rows } = await client.query<{ locked: boolean; holder: string | null }>(
      `select pg_try_advisory_lock($1) as locked, (
         select format('pid %s ("%s")', a.pid, a.application_name)
         from pg_locks l join pg_stat_activity a on a.pid = l.pid
         where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and a.datname = current_database()
           and (l.classid::bigint << 32) + l.objid::bigint = $1
         limit 1) as holder`,
      [MIGRATION_LOCK],
    );
    const [row] = rows;
    if (row?.locked) return;
    if (!told && performance.now() - startedAt > TRY_AGAIN_MS) {
      told = true;
      onWait('the migration lock', row?.holder ?? 'a session that has ended meanwhile');
    }
    await sleep(TRY_LOCK_MS);
  }
}

/** Creates the tables of applied migrations and files. Only if something is pending, since the user may lack the right. */
async function createBookkeeping(client: pg.Client): Promise<void> {
  const { rows } = await client.query(
    `select to_regnamespace('posthorn') is not null as schema,
       to_regclass('posthorn.schema_files') is not null as tables`,
  );
  if (!rows[0].schema) await client.query('create schema posthorn');
  if (rows[0].tables) return;
  await client.query(BOOKKEEPING_TABLES);
}

/**
 * Returns the migrations, functions and views of this version, and which of them the database lacks. It needs one
 * transaction, and no session.
 *
 * @throws OperatorError as `migrate` does.
 */
export async function migrationStatus(databaseUrl: string): Promise<MigrationStatus> {
  const client = await openOrExplain(databaseUrl, 'migrate');
  try {
    await client.query(`begin; ${settingsSql('transaction')}`);
    await requireSupportedServer(client);
    const status = await compare(client, databaseUrl);
    await client.query('commit');
    return status;
  } finally {
    await client.end();
  }
}

async function compare(client: pg.Client, databaseUrl: string): Promise<MigrationStatus> {
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
  const { changed, removed, newerVersion } = await compareSchemaFiles(client);
  if (newerVersion !== null) {
    throw new OperatorError(
      `The database ${describe(databaseUrl)} has functions of Posthorn ${newerVersion}, but this is ${VERSION}. Run the newer Posthorn that migrated it.`,
    );
  }
  return {
    migrations: known.map(({ version, name }) => ({
      version,
      name,
      appliedAt: applied.get(version) ?? null,
    })),
    changed: [...changed, ...removed],
  };
}

/** Runs the work in a transaction that waits only LOCK_TIMEOUT_MS for locks, again and again until it gets them. */
async function applyPatiently<T>(
  client: pg.Client,
  name: string,
  onWait: NonNullable<MigrateOptions['onWait']>,
  work: () => Promise<T>,
): Promise<T> {
  for (;;) {
    await client.query('begin');
    try {
      await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
      const result = await work();
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback');
      if (error instanceof OperatorError) throw error;
      if (errorCode(rootCause(error)) !== LOCK_NOT_AVAILABLE)
        throw new Error(`Applying ${name} failed and was rolled back: ${errorMessage(error)}`, {
          cause: error,
        });
      onWait(name, await oldestTransaction(client));
      await sleep(TRY_AGAIN_MS);
    }
  }
}

/** Returns the error of Postgres, which other errors may wrap. */
function rootCause(error: unknown): unknown {
  return error instanceof Error && error.cause !== undefined ? rootCause(error.cause) : error;
}

/** Describes the longest open transaction, which most likely is the one that blocks. */
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
    ? 'a transaction that has ended meanwhile'
    : `the transaction of pid ${oldest.pid} ("${oldest.name}"), open for ${oldest.seconds} s`;
}

async function applyMigration(client: pg.Client, version: number, name: string): Promise<Date> {
  await client.query(await readMigration(name));
  const { rows } = await client.query(
    'insert into posthorn.migrations (version, name) values ($1, $2) returning applied_at',
    [version, name],
  );
  return rows[0].applied_at;
}

async function hasCurrentQueue(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query(
    `select to_regclass('graphile_worker.migrations') is not null as yes`,
  );
  if (!rows[0].yes) return false;
  const found = await client.query('select from graphile_worker.migrations where id = $1', [
    await queueVersion(),
  ]);
  return found.rows.length > 0;
}

/** The start of a process on a busy machine: modules that are loaded meanwhile delay the answer of Postgres. */
const CHECK_CONNECT_TIMEOUT_MS = 30_000;

/** @throws when the database has a newer schema of graphile-worker that this version cannot use. */
async function checkQueue(databaseUrl: string): Promise<void> {
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'migrate',
    max: 2,
    connectTimeoutMs: CHECK_CONNECT_TIMEOUT_MS,
  });
  try {
    await runMigrations({ pgPool: pool, preset: { worker: { logger: silentQueueLogger } } });
  } finally {
    await pool.end();
  }
}

async function mayCreate(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ yes: boolean }>(
    `select has_database_privilege(current_database(), 'CREATE') as yes`,
  );
  return rows[0]?.yes === true;
}

function mayNotMigrate(
  client: pg.Client,
  migrations: readonly Migration[],
  databaseUrl: string,
): OperatorError {
  const from = migrations.filter(({ appliedAt }) => appliedAt !== null).at(-1)?.version ?? 0;
  return new OperatorError(
    `The database ${describe(databaseUrl)} is not of this version (${VERSION}), and user "${client.user}" may not create in it. Apply what posthorn migrate --sql --from ${from} prints, or run posthorn migrate as a user that may.`,
  );
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

/** @throws OperatorError when the session may only read. */
async function requireWriting(client: pg.Client, databaseUrl: string): Promise<void> {
  const { rows } = await client.query<{ standby: boolean; read_only: boolean }>(
    `select pg_is_in_recovery() as standby, current_setting('transaction_read_only')::boolean as read_only`,
  );
  const [row] = rows;
  if (row?.standby)
    throw new OperatorError(
      `The database ${describe(databaseUrl)} is a standby, which can only be read. Set DATABASE_URL to the primary.`,
    );
  if (row?.read_only)
    throw new OperatorError(
      `User "${client.user}" may only read ${describe(databaseUrl)}, because default_transaction_read_only is on. If your provider set it because the disk is full, free space; else reset it (alter role ${client.user} reset default_transaction_read_only, or alter database).`,
    );
}

function describe(databaseUrl: string): string {
  const { hosts } = readConnectionString(databaseUrl);
  // A single host may be a socket or a parameter of the URL, which node-postgres reads.
  const { database, host } = new pg.Client({ connectionString: hosts[0].url });
  const names = hosts.length === 1 ? [host] : hosts.map((one) => one.host);
  return `"${database}" on ${names.join(', ')}`;
}
