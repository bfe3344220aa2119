import { Command } from 'commander';
import { loadSettings } from '../config/settings.ts';

/** `posthorn migrate`: brings the database up to date, or shows where it is. */
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
  for (const { name, appliedAt } of await migrationStatus(url)) {
    process.stdout.write(
      `${name.padEnd(32)} ${appliedAt === null ? 'not applied' : appliedAt.toISOString()}\n`,
    );
  }
}

async function apply(url: string): Promise<void> {
  const { migrate } = await import('../db/migrate.ts');
  const onWait = (name: string, blockedBy: string) =>
    void process.stderr.write(`${name} waits for its locks, and tries again: ${blockedBy}\n`);
  const applied = await migrate(url, { onWait });
  for (const { name } of applied) process.stdout.write(`applied ${name}\n`);
  if (applied.length === 0) process.stdout.write('The database is up to date.\n');
}
