import type pg from 'pg';
import { loadDatabaseSettings } from '../../config/settings.ts';
import { errorCode, errorMessage, OperatorError } from '../../lib/errors.ts';
import { EXIT } from '../exit-codes.ts';

const UNDEFINED_TABLE = '42P01';

/**
 * Runs an export on a connection to the database of the settings, or to its replica for reports if that answers.
 *
 * @throws OperatorError that says what to do, with the exit code for a database that is not reached.
 */
export async function withHistory(work: (client: pg.ClientBase) => Promise<void>): Promise<void> {
  const { databaseUrl, reportingUrl, dataDir } = loadDatabaseSettings();
  const { startEmbeddedPostgres } = await import('../../db/embedded/postgres.ts');
  const { withArchiveClient } = await import('../../archive/archive-client.ts');
  if (reportingUrl !== undefined && (await answers(reportingUrl))) {
    try {
      return await withArchiveClient(reportingUrl, work, 'any');
    } catch (error) {
      throw await explained(error);
    }
  }
  const embedded = databaseUrl === undefined ? await startEmbeddedPostgres(dataDir) : undefined;
  let isConnected = false;
  try {
    await withArchiveClient(databaseUrl ?? (embedded?.url as string), async (client) => {
      isConnected = true;
      await work(client);
    });
  } catch (error) {
    if (!isConnected) throw new OperatorError(errorMessage(error), { exitCode: EXIT.notReachable });
    throw await explained(error);
  } finally {
    await embedded?.stop();
  }
}

/** Says on stderr if the replica does not answer. */
async function answers(reportingUrl: string): Promise<boolean> {
  const { connectOrExplain } = await import('../../db/connect.ts');
  try {
    await (await connectOrExplain(reportingUrl, 'archive', 'any')).end();
    return true;
  } catch (error) {
    console.error(
      `The replica of POSTHORN_REPORTING_URL does not answer (${errorMessage(error)}). The export reads from DATABASE_URL.`,
    );
    return false;
  }
}

async function explained(error: unknown): Promise<unknown> {
  const { isUnavailable } = await import('../../db/availability.ts');
  if (error instanceof OperatorError) return error;
  if (errorCode(error) === UNDEFINED_TABLE)
    return new OperatorError('The database has no history of Posthorn. Check DATABASE_URL.');
  return new OperatorError(`The export broke off: ${errorMessage(error)}. Run it again.`, {
    exitCode: isUnavailable(error) ? EXIT.notReachable : EXIT.failed,
  });
}
