import type { Logger } from 'pino';
import type { Settings } from '../config/settings.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../db/embedded/postgres.ts';
import { migrate } from '../db/migrate.ts';
import { abortable } from '../lib/abortable.ts';
import { errorMessage } from '../lib/errors.ts';
import { throttle } from '../lib/throttle.ts';

const REPORT_EVERY_MS = 60_000;

/** The database that the settings name, migrated. */
interface OpenDatabase {
  readonly url: string;
  readonly embedded: EmbeddedPostgres | undefined;
  /** Stops the server, if it is the embedded Postgres. */
  close(): Promise<void>;
}

/**
 * Starts the embedded Postgres where the settings name no other, and migrates.
 *
 * @throws OperatorError with one line that says what to do when the database cannot be used. A
 *   server that was started for it is stopped again. Throws the reason of `signal` as soon as that aborts.
 */
export async function openDatabase(
  { databaseUrl, dataDir }: Pick<Settings, 'databaseUrl' | 'dataDir'>,
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
    const onWait = (migration: string, blockedBy: string) =>
      log.warn({ migration, blockedBy }, 'a migration waits for its locks, and tries again');
    const applied = await abortable(migrate(url, { onWait }), signal);
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
  return { url, embedded, close: async () => await embedded?.stop() };
}
