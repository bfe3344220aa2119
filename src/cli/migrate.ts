import { Command } from 'commander';
import { loadSettings } from '../config/settings.ts';

/** `posthorn migrate`: brings the database up to date, or shows its state. */
export function migrateCommand(): Command {
  return new Command('migrate')
    .description('apply the migrations (start does it too)')
    .option('--status', 'list the migrations instead, applied or not')
    .addHelpText(
      'after',
      `
Examples:
  $ DATABASE_URL=postgres://… posthorn migrate
  $ DATABASE_URL=postgres://… posthorn migrate --status`,
    )
    .action(async ({ status }: { status?: boolean }) => {
      const { startEmbeddedPostgres } = await import('../db/embedded/postgres.ts');
      const { databaseUrl, dataDir } = loadSettings();
      const embedded = databaseUrl === undefined ? await startEmbeddedPostgres(dataDir) : undefined;
      const url = databaseUrl ?? (embedded?.url as string);
      try {
        await (status ? list(url) : apply(url));
      } finally {
        await embedded?.stop();
      }
    });
}

async function list(url: string): Promise<void> {
  const { migrationStatus } = await import('../db/migrate.ts');
  const { migrations, changed } = await migrationStatus(url);
  for (const { name, appliedAt } of migrations) {
    process.stdout.write(
      `${name.padEnd(32)} ${appliedAt === null ? 'not applied' : appliedAt.toISOString()}\n`,
    );
  }
  const state = changed.length === 0 ? 'up to date' : `not applied: ${named(changed)}`;
  process.stdout.write(`${'functions and views'.padEnd(32)} ${state}\n`);
}

async function apply(url: string): Promise<void> {
  const { migrate } = await import('../db/migrate.ts');
  const onWait = (name: string, blockedBy: string) =>
    void process.stderr.write(`${name} waits for its locks, and tries again: ${blockedBy}\n`);
  const { migrations, changed } = await migrate(url, { onWait });
  for (const { name } of migrations) process.stdout.write(`applied ${name}\n`);
  if (changed.length > 0) process.stdout.write(`applied functions and views: ${named(changed)}\n`);
  if (migrations.length + changed.length === 0)
    process.stdout.write('The database is up to date.\n');
}

/** Returns the names of a few files, or the number of many. */
function named(files: readonly string[]): string {
  return files.length > 8 ? `${files.length} files` : files.join(', ');
}
