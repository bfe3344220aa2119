import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../db/embedded/postgres.ts';
import { migrate, migrationStatus } from '../db/migrate.ts';
import { findPooling, requireTransactions } from '../db/pooling.ts';
import { abortable } from '../lib/abortable.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { throttle } from '../lib/throttle.ts';

const REPORT_EVERY_MS = 60_000;

/** The database that the settings name, migrated. */
interface OpenDatabase {
  readonly url: string;
  readonly embedded: EmbeddedPostgres | undefined;
  /** True if a pooler gives each transaction another session: there are no notifications and session locks. */
  readonly sharesSessions: boolean;
  /** Stops the server, if it is the embedded Postgres. */
  close(): Promise<void>;
}

/**
 * Starts the embedded Postgres where the settings name no other, and migrates. Behind a pooler that shares
 * sessions, an API works, but cannot migrate: there the database must be of this version already.
 *
 * @throws OperatorError with one line that says what to do when the database cannot be used. A
 *   server that was started for it is stopped again. Throws the reason of `signal` as soon as that aborts.
 */
export async function openDatabase(
  { databaseUrl, dataDir, role }: Pick<Settings, 'databaseUrl' | 'dataDir' | 'role'>,
  log: Logger,
  signal?: AbortSignal,
): Promise<OpenDatabase> {
  const onNotRevived = throttle<unknown>(REPORT_EVERY_MS, (error) =>
    log.warn({ reason: errorMessage(error) }, 'the embedded Postgres died and cannot be restarted'),
  );
  const embedded =
    databaseUrl === undefined
      ? await startEmbeddedPostgres(dataDir, { onNotRevived, signal })
      : undefined;
  const url = databaseUrl ?? (embedded as EmbeddedPostgres).url;
  try {
    if (role === 'api' && (await abortable(isPooled(url), signal))) {
      await abortable(requireMigrated(url), signal);
      log.info(
        'the database is behind a pooler that shares sessions: changes by other processes take effect within a second',
      );
      return { url, embedded, sharesSessions: true, close: async () => await embedded?.stop() };
    }
    const onWait = (migration: string, blockedBy: string) =>
      log.warn({ migration, blockedBy }, 'a migration waits for its locks, and tries again');
    const onMayNotCreate = () =>
      log.info(
        'the schema is of this version; its migrations are not applied by this user, which may not create in the database',
      );
    const applied = await abortable(migrate(url, { onWait, onMayNotCreate }), signal);
    if (applied.migrations.length + applied.changed.length > 0)
      log.info(
        {
          migrations: applied.migrations.map(({ name }) => name),
          functionsAndViews: applied.changed.length,
        },
        'migrated',
      );
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
  return { url, embedded, sharesSessions: false, close: async () => await embedded?.stop() };
}

/**
 * Returns whether a pooler shares the sessions of the database.
 *
 * @throws OperatorError when not even transactions are possible.
 */
async function isPooled(url: string): Promise<boolean> {
  const pooling = await findPooling(url);
  requireTransactions(pooling);
  return pooling === 'transaction';
}

/** @throws OperatorError when the database is not of this version. */
async function requireMigrated(url: string): Promise<void> {
  const { migrations, changed } = await migrationStatus(url);
  if (changed.length === 0 && migrations.every(({ appliedAt }) => appliedAt !== null)) return;
  throw new OperatorError(
    'The database is not migrated to this version, and migrations need a session, which the pooler in DATABASE_URL does not give. Run posthorn migrate, or start a worker, with a DATABASE_URL that leads to Postgres itself.',
  );
}
