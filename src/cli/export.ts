import { Command } from 'commander';
import type pg from 'pg';
import type { ArchiveTableName } from '../archive/tables.ts';
import { loadSettings } from '../config/settings.ts';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';

const FAILED = 1;
const USAGE = 2;
const UNREACHABLE = 5;
const UNDEFINED_TABLE = '42P01';
const DAY_MS = 86_400_000;

interface ExportFlags {
  readonly since: string;
  readonly until?: string;
  readonly to: string;
  readonly tenant?: string;
  readonly bodies?: boolean;
  readonly overwrite?: boolean;
}

/** `posthorn export`: writes whole days of history to Parquet files. */
export function exportCommand(): Command {
  return new Command('export')
    .description('write days of history to Parquet files')
    .requiredOption('--since <day>', 'the first day, as 2026-11-01 (UTC)')
    .option('--until <day>', 'the day after the last one (default: today, so up to yesterday)')
    .requiredOption('--to <dir>', 'the folder for the files')
    .option('--tenant <id>', 'only this tenant, in the folder tenant=<id>')
    .option('--bodies', 'the bodies of webhooks and answers too, in files of their own')
    .option('--overwrite', 'write days again that have a file already')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://… posthorn export --since 2026-11-01 --to /var/archive
  $ posthorn export --since 2026-11-01 --until 2026-12-01 --to /var/archive --tenant acme --bodies

Writes <dir>/webhooks/<day>.parquet, and the same for deliveries and attempts. A day that has a file is passed over,
so an export that broke off goes on when it is run again.
Exit codes: 0 done, 1 failed, 2 wrong options, 5 the database cannot be reached.`,
    )
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE))
    .action(exportHistory);
}

async function exportHistory(flags: ExportFlags): Promise<void> {
  const { since, until } = daysOf(flags);
  const { databaseUrl, dataDir } = loadSettings();
  const { startEmbeddedPostgres } = await import('../db/embedded/postgres.ts');
  const { withArchiveClient } = await import('../archive/archive-client.ts');
  const embedded = databaseUrl === undefined ? await startEmbeddedPostgres(dataDir) : undefined;
  let isConnected = false;
  try {
    await withArchiveClient(databaseUrl ?? (embedded?.url as string), async (client) => {
      isConnected = true;
      await exportDays(client, since, until, flags);
    });
  } catch (error) {
    if (!isConnected) throw new OperatorError(errorMessage(error), { exitCode: UNREACHABLE });
    throw await explained(error);
  } finally {
    await embedded?.stop();
  }
}

async function exportDays(
  client: pg.ClientBase,
  since: Date,
  until: Date,
  { to, tenant, bodies, overwrite }: ExportFlags,
): Promise<void> {
  const { dayName, daysBetween, exportDay, hasArchiveFile } = await import(
    '../archive/export-day.ts'
  );
  const { ARCHIVE_TABLES } = await import('../archive/tables.ts');
  const names: ArchiveTableName[] = ['webhooks', 'deliveries', 'attempts'];
  if (bodies) names.push('bodies', 'answers');
  const archive = { dir: to, tenant };
  for (const day of daysBetween(since, until)) {
    const done: string[] = [];
    let unfinished = 0;
    for (const name of names) {
      if (!overwrite && hasArchiveFile(archive, name, day)) {
        done.push(`${name} there already`);
      } else if (!(await isInDatabase(client, ARCHIVE_TABLES[name].parent, day))) {
        done.push(`${name} not in the database`);
      } else {
        const rows = await exportDay(client, archive, name, day, (part) => {
          unfinished += part.filter(({ state }) => state === 'pending' || state === 'held').length;
        });
        done.push(`${name} ${rows}`);
      }
    }
    process.stdout.write(`${dayName(day)}  ${done.join(', ')}\n`);
    if (unfinished > 0)
      process.stderr.write(
        `${dayName(day)}: ${unfinished} deliveries are unfinished. Export that day again with --overwrite when they have ended.\n`,
      );
  }
}

/** A day whose partition was dropped would be an empty file. */
async function isInDatabase(client: pg.ClientBase, parent: string, day: Date): Promise<boolean> {
  const { rows } = await client.query<{ yes: boolean }>(
    `select exists (
       select from posthorn.list_partitions() where parent = $1 and from_at < $2 and until_at > $3
     ) as yes`,
    [parent, new Date(day.getTime() + DAY_MS), day],
  );
  return rows[0]?.yes === true;
}

/** @throws OperatorError that says which option is wrong. */
function daysOf({ since, until }: ExportFlags): { since: Date; until: Date } {
  const today = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS);
  const first = readDay('--since', since);
  const end = until === undefined ? today : readDay('--until', until);
  if (end > today)
    throw wrong(
      `--until is ${until}; give a day up to today (${today.toISOString().slice(0, 10)}), since only whole days are exported.`,
    );
  if (first >= end)
    throw wrong(
      `--since ${since} is not before ${until === undefined ? 'today' : `--until ${until}`}.`,
    );
  return { since: first, until: end };
}

function readDay(option: string, text: string): Date {
  const day = new Date(`${text}T00:00:00Z`);
  if (!/^\d{4}-\d\d-\d\d$/.test(text) || Number.isNaN(day.getTime()))
    throw wrong(`${option} is "${text}"; give a day as 2026-11-01.`);
  return day;
}

function wrong(message: string): OperatorError {
  return new OperatorError(message, { exitCode: USAGE });
}

async function explained(error: unknown): Promise<unknown> {
  const { isUnavailable } = await import('../db/availability.ts');
  if (error instanceof OperatorError) return error;
  if (errorCode(error) === UNDEFINED_TABLE)
    return new OperatorError('The database has no history of Posthorn. Check DATABASE_URL.');
  return new OperatorError(`The export broke off: ${errorMessage(error)}. Run it again to go on.`, {
    exitCode: isUnavailable(error) ? UNREACHABLE : FAILED,
  });
}
