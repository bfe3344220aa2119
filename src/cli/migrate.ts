import { Command, Option } from 'commander';
import { loadDatabaseSettings } from '../config/settings.ts';
import type { MigrationStatus } from '../db/migrate.ts';
import { OperatorError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { print } from './output.ts';

interface MigrateFlags {
  readonly status?: boolean;
  readonly sql?: boolean;
  readonly from?: string;
  readonly owner?: string;
  readonly json?: boolean;
}

/** `posthorn migrate`: brings the database up to date, shows its state, or prints the SQL for it. */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('apply the migrations (start does it too)')
    .addOption(
      new Option('--status', 'list the migrations instead, applied or not').conflicts('sql'),
    )
    .option('--sql', 'print the SQL instead, for a tool of yours that applies it')
    .option('--from <n>', 'with --sql: the newest migration that the database has (default: none)')
    .option('--owner <role>', 'with --sql: the role that is to own the schemas')
    .addOption(new Option('--json', 'print what is or was applied as JSON').conflicts('sql'))
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://… posthorn migrate
  $ DATABASE_URL=postgres://… posthorn migrate --status
  $ posthorn migrate --sql > posthorn.sql
  $ posthorn migrate --sql --from 1 > posthorn-upgrade.sql`,
    )
    .action(async ({ status, sql, from, owner, json = false }: MigrateFlags) => {
      if (sql) return await printSql(from, owner);
      if (from !== undefined || owner !== undefined)
        throw new OperatorError('--from and --owner need --sql.', { exitCode: EXIT.usage });
      const { startEmbeddedPostgres } = await import('../db/embedded/postgres.ts');
      const { databaseUrl, dataDir } = loadDatabaseSettings();
      const embedded = databaseUrl === undefined ? await startEmbeddedPostgres(dataDir) : undefined;
      const url = databaseUrl ?? (embedded?.url as string);
      try {
        await (status ? list(url, json) : apply(url, json));
      } finally {
        await embedded?.stop();
      }
    });
}

async function printSql(from = '0', owner?: string): Promise<void> {
  const { knownMigrations } = await import('../db/migration-files.ts');
  const { migrationSql } = await import('../db/migration-sql.ts');
  const newest = (await knownMigrations()).at(-1)?.version ?? 0;
  if (!/^\d{1,4}$/.test(from) || Number(from) > newest)
    throw new OperatorError(
      `--from is "${from}"; give the number of the newest migration that the database has, 0 to ${newest}. posthorn migrate --status lists them.`,
      { exitCode: EXIT.usage },
    );
  process.stdout.write(await migrationSql({ from: Number(from), owner }));
}

async function list(url: string, json: boolean): Promise<void> {
  const { migrationStatus } = await import('../db/migrate.ts');
  const { migrations, changed } = await migrationStatus(url);
  if (json) return printJson({ migrations, changed });
  for (const { name, appliedAt } of migrations) {
    process.stdout.write(
      `${name.padEnd(32)} ${appliedAt === null ? 'not applied' : appliedAt.toISOString()}\n`,
    );
  }
  const state = changed.length === 0 ? 'up to date' : `not applied: ${named(changed)}`;
  process.stdout.write(`${'functions and views'.padEnd(32)} ${state}\n`);
}

async function apply(url: string, json: boolean): Promise<void> {
  const { migrate } = await import('../db/migrate.ts');
  const onWait = (name: string, blockedBy: string) =>
    void process.stderr.write(`${name} waits for its locks, and tries again: ${blockedBy}\n`);
  const { migrations, changed } = await migrate(url, { onWait });
  if (json) return printJson({ migrations, changed });
  for (const { name } of migrations) process.stdout.write(`applied ${name}\n`);
  if (changed.length > 0) process.stdout.write(`applied functions and views: ${named(changed)}\n`);
  if (migrations.length + changed.length === 0)
    process.stdout.write('The database is up to date.\n');
}

/** `changed` are the functions and views that are not, or were, applied. */
function printJson({ migrations, changed }: MigrationStatus): void {
  print(
    JSON.stringify(
      {
        migrations: migrations.map(({ name, appliedAt }) => ({ name, applied_at: appliedAt })),
        changed,
      },
      null,
      2,
    ),
  );
}

/** Returns the names of a few files, or the number of many. */
function named(files: readonly string[]): string {
  return files.length > 8 ? `${files.length} files` : files.join(', ');
}
