import { Argument, Command, Option } from 'commander';
import type { ArchiveTableName } from '../archive/tables.ts';
import { TEXT_FORMATS, type TextFormat } from '../archive/text-rows.ts';
import { OperatorError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { exportDays } from './export/days.ts';
import { exportRows } from './export/rows.ts';
import { readTime } from './tasks.ts';

interface ExportFlags {
  readonly format?: TextFormat | 'parquet';
  readonly since: string;
  readonly until?: string;
  readonly to?: string;
  readonly tenant?: string;
  readonly bodies?: boolean;
  readonly overwrite?: boolean;
  readonly json?: boolean;
}

const TABLES = [
  'webhooks',
  'deliveries',
  'attempts',
  'bodies',
  'answers',
] as const satisfies readonly ArchiveTableName[];

/** `posthorn export`: writes history, as rows of text or as Parquet files of whole days. */
export function exportCommand(): Command {
  return new Command('export')
    .description('write history as CSV, NDJSON or Parquet')
    .addArgument(
      new Argument(
        '[table]',
        'what to write as CSV or NDJSON; without it: days as Parquet',
      ).choices(TABLES),
    )
    .addOption(
      new Option('--format <format>', 'the format of a table (default: ndjson)').choices([
        ...TEXT_FORMATS,
        'parquet',
      ]),
    )
    .requiredOption(
      '--since <time>',
      'the beginning: a time (2026-11-28T09:00:00Z), a day (2026-11-28, UTC), or how long ago (2h)',
    )
    .option('--until <time>', 'the end (default: now; with Parquet: today, so up to yesterday)')
    .option('--to <path>', 'the file (default: standard output); with Parquet, the folder')
    .option('--tenant <id>', 'only this tenant')
    .option('--bodies', 'with Parquet: the bodies of webhooks and answers too, in other files')
    .option('--overwrite', 'replace files that are there already')
    .option('--json', 'print what was written to files as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://… posthorn export attempts --since 2h --format csv > attempts.csv
  $ posthorn export deliveries --since 2026-11-01 --until 2026-11-08 --tenant acme | jq .state
  $ posthorn export --since 2026-11-01 --to /var/archive
  $ posthorn export --since 2026-11-01 --until 2026-12-01 --to /var/archive --tenant acme --bodies

A table has the webhooks accepted in that time, their deliveries, or the attempts of these deliveries.
Parquet has whole days of all three: <dir>/webhooks/<day>.parquet, and the same for deliveries and attempts. A day that
has a file is passed over, so an export that broke off goes on when it is run again.
Exit codes: 0 done, 1 failed, 2 wrong options, 5 the database cannot be reached.`,
    )
    .action(exportHistory);
}

async function exportHistory(table: ArchiveTableName | undefined, flags: ExportFlags) {
  const { format, to, bodies, json } = flags;
  if (table === undefined) {
    if (format !== undefined && format !== 'parquet')
      throw wrong(`--format ${format} is of one table; name it: ${TABLES.join(', ')}.`);
    if (to === undefined) throw wrong('Give the folder for the Parquet files with --to.');
    return await exportDays({ ...flags, to });
  }
  if (format === 'parquet')
    throw wrong('Parquet files have whole days of all tables. Leave out the table.');
  if (bodies) throw wrong('--bodies is for Parquet. The tables are called bodies and answers.');
  if (json && to === undefined)
    throw wrong('--json is for files; rows as JSON are --format ndjson.');
  await exportRows({ ...flags, table, format: format ?? 'ndjson', span: spanOf(flags) });
}

function spanOf({ since, until, tenant }: ExportFlags) {
  const from = new Date(readTime('--since', since));
  const end = until === undefined ? new Date() : new Date(readTime('--until', until));
  if (from >= end) throw wrong(`--since ${since} is not before --until ${until ?? 'now'}.`);
  return { from, until: end, tenant };
}

function wrong(message: string): OperatorError {
  return new OperatorError(message, { exitCode: EXIT.usage });
}
