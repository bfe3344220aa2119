import type pg from 'pg';
import type { ArchiveTableName } from '../../archive/tables.ts';
import { OperatorError } from '../../lib/errors.ts';
import { EXIT } from '../exit-codes.ts';
import { withHistory } from './database.ts';

const DAY_MS = 86_400_000;

/** Which days are exported, and where to. */
export interface DaysExport {
  readonly since: string;
  readonly until?: string | undefined;
  /** The folder. */
  readonly to: string;
  readonly tenant?: string | undefined;
  readonly bodies?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  readonly json?: boolean | undefined;
}

/** The result of the export of a table of a day. */
interface Done {
  readonly table: ArchiveTableName;
  readonly result: 'exported' | 'there already' | 'not in the database';
  readonly rows: number | null;
}

/** Writes whole days to Parquet files, and passes over those that have a file already. */
export async function exportDays(days: DaysExport): Promise<void> {
  const { since, until } = daysOf(days);
  const { dayName, daysBetween } = await import('../../archive/export-day.ts');
  await withHistory(async (client) => {
    for (const day of daysBetween(since, until)) {
      const { done, unfinished } = await exportTables(client, day, days);
      const name = dayName(day);
      if (days.json) process.stdout.write(`${JSON.stringify({ day: name, unfinished, done })}\n`);
      else process.stdout.write(`${name}  ${done.map(textOf).join(', ')}\n`);
      if (unfinished > 0)
        process.stderr.write(
          `${name}: ${unfinished} deliveries are unfinished. Export that day again with --overwrite when they have ended.\n`,
        );
    }
  });
}

const textOf = ({ table, result, rows }: Done) =>
  result === 'exported' ? `${table} ${rows}` : `${table} ${result}`;

async function exportTables(
  client: pg.ClientBase,
  day: Date,
  { to, tenant, bodies, overwrite }: DaysExport,
): Promise<{ done: Done[]; unfinished: number }> {
  const { exportDay, hasArchiveFile } = await import('../../archive/export-day.ts');
  const { ARCHIVE_TABLES } = await import('../../archive/tables.ts');
  const names: ArchiveTableName[] = ['webhooks', 'deliveries', 'attempts'];
  if (bodies) names.push('bodies', 'answers');
  const archive = { dir: to, tenant };
  const done: Done[] = [];
  let unfinished = 0;
  for (const table of names) {
    if (!overwrite && hasArchiveFile(archive, table, day)) {
      done.push({ table, result: 'there already', rows: null });
    } else if (!(await isInDatabase(client, ARCHIVE_TABLES[table].parent, day))) {
      done.push({ table, result: 'not in the database', rows: null });
    } else {
      const rows = await exportDay(client, archive, table, day, (part) => {
        unfinished += part.filter(({ state }) => state === 'pending' || state === 'held').length;
      });
      done.push({ table, result: 'exported', rows });
    }
  }
  return { done, unfinished };
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
function daysOf({ since, until }: DaysExport): { since: Date; until: Date } {
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
  return new OperatorError(message, { exitCode: EXIT.usage });
}
