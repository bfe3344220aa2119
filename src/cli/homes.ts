import { Command } from 'commander';
import { publicUrl } from '../config/setting-readers.ts';
import { loadDatabaseSettings } from '../config/settings.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { print, table } from './output.ts';

interface HomesFlags {
  readonly json?: boolean;
}

/** `posthorn homes`: several Posthorns that share tenants among their databases. */
export function homesCommand(): Command {
  const command = new Command('homes')
    .description('manage the Posthorns that share tenants (docs/placement.md)')
    .addHelpText(
      'after',
      `
Examples:
  $ export POSTHORN_DIRECTORY_URL=postgres://… POSTHORN_HOME=db2 DATABASE_URL=postgres://…
  $ posthorn homes add --api-url https://db2.hooks.example.com
  $ posthorn homes list`,
    );
  command
    .command('add')
    .description('add this Posthorn to the directory, under its POSTHORN_HOME')
    .requiredOption('--api-url <url>', 'the URL by which other homes reach its API')
    .option('--json', 'print the home as JSON')
    .action(addHome);
  command
    .command('list')
    .description('list the homes of the directory')
    .option('--json', 'print them as JSON')
    .action(listHomes);
  return command;
}

/** Reads the settings of a home. @throws OperatorError if there is no directory. */
export function requirePlacement() {
  const settings = loadDatabaseSettings();
  if (settings.placement === undefined)
    throw new OperatorError(
      'There is no directory: set POSTHORN_DIRECTORY_URL and POSTHORN_HOME (docs/placement.md).',
    );
  return { ...settings, placement: settings.placement };
}

async function addHome({ apiUrl, json }: HomesFlags & { readonly apiUrl: string }): Promise<void> {
  const origin = readOrigin(apiUrl);
  const { databaseUrl, encryptionKeys, placement } = requirePlacement();
  if (databaseUrl === undefined)
    throw new OperatorError('Set DATABASE_URL: other homes cannot use an embedded Postgres.');
  const { createPool } = await import('../db/pool.ts');
  const { migrate } = await import('../db/migrate.ts');
  const { joinDirectory } = await import('../placement/join.ts');
  await migrate(databaseUrl);
  if (placement.directoryUrl !== databaseUrl) await migrate(placement.directoryUrl);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'homes', max: 1 });
  const directory = createPool({
    connectionString: placement.directoryUrl,
    purpose: 'homes',
    max: 1,
  });
  try {
    const home = await joinDirectory({
      pool,
      directory,
      name: placement.home,
      apiUrl: origin,
      encryptionKeys,
    });
    if (json) return print(JSON.stringify(written(home), null, 2));
    print(`${home.name} is a home. Its ids of subscriptions and keys begin with ${home.firstId}.`);
  } finally {
    await Promise.all([pool.end(), directory.end()]);
  }
}

async function listHomes({ json }: HomesFlags): Promise<void> {
  const { placement } = requirePlacement();
  const { connectOrExplain } = await import('../db/connect.ts');
  const { readHomes } = await import('../placement/directory.sql.ts');
  const client = await connectOrExplain(placement.directoryUrl, 'homes');
  try {
    const homes = await readHomes(client);
    if (json) return print(JSON.stringify(homes.map(written), null, 2));
    const rows = homes.map(({ name, apiUrl, firstId }) => [name, apiUrl, String(firstId)]);
    print(table([['name', 'api url', 'first id'], ...rows]));
  } finally {
    await client.end();
  }
}

const written = (home: { name: string; apiUrl: string; firstId: number }) => ({
  name: home.name,
  api_url: home.apiUrl,
  first_id: home.firstId,
});

function readOrigin(text: string): string {
  try {
    return publicUrl(text);
  } catch (error) {
    throw new OperatorError(`--api-url: ${errorMessage(error)}`, { exitCode: EXIT.usage });
  }
}
