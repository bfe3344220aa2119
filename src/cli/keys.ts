import { Command } from 'commander';
import { loadDatabaseSettings } from '../config/settings.ts';
import { OperatorError } from '../lib/errors.ts';
import { createSealer } from '../lib/sealing.ts';
import { apiKeyCommands } from './api-keys.ts';
import { print } from './output.ts';

/** `posthorn keys`: manages API keys and the encryption of secrets. */
export function keysCommand(): Command {
  const command = new Command('keys').description('manage API keys and encryption').addHelpText(
    'after',
    `
Examples:
  $ posthorn keys create --scopes send,read --name shop
  $ posthorn keys create --scopes manage,read --tenant acme --expires 90d
  $ posthorn keys list --tenant acme
  $ posthorn keys revoke 7
  $ posthorn keys rotate-encryption`,
  );
  for (const subcommand of [...apiKeyCommands(), rotateEncryptionCommand()])
    command.addCommand(subcommand);
  return command;
}

function rotateEncryptionCommand(): Command {
  return new Command('rotate-encryption')
    .description('encrypt all secrets again, with the first key of POSTHORN_ENCRYPTION_KEY')
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      `
Services may keep running. To change the key, give both keys to every process first:
  1. POSTHORN_ENCRYPTION_KEY=<old>,<new>   everywhere: all can read both
  2. POSTHORN_ENCRYPTION_KEY=<new>,<old>   everywhere: the new key encrypts
  3. posthorn keys rotate-encryption       with the setting of step 2
  4. POSTHORN_ENCRYPTION_KEY=<new>         everywhere

Examples:
  $ POSTHORN_ENCRYPTION_KEY=$(openssl rand -base64 32) posthorn keys rotate-encryption`,
    )
    .action(rotateEncryption);
}

async function rotateEncryption({ json }: { readonly json?: boolean }): Promise<void> {
  const { databaseUrl, dataDir, encryptionKeys } = loadDatabaseSettings();
  const [first] = encryptionKeys;
  if (first === undefined) {
    throw new OperatorError(
      'POSTHORN_ENCRYPTION_KEY is not set, so there is nothing to encrypt with. Make a key with: openssl rand -base64 32',
    );
  }
  const { openDatabase } = await import('../app/open-database.ts');
  const { createPool } = await import('../db/pool.ts');
  const { resealSecrets } = await import('../subscriptions/reseal.ts');
  const { pino } = await import('pino');
  const database = await openDatabase(
    { databaseUrl, dataDir, role: 'api' },
    pino({ level: 'silent' }),
  );
  const pool = createPool({
    connectionString: database.url,
    purpose: 'keys',
    max: 1,
    sharesSessions: database.sharesSessions,
  });
  try {
    const { resealed, unreadable } = await resealSecrets(pool, createSealer(encryptionKeys));
    print(
      json
        ? JSON.stringify({ key: first.id, resealed, unreadable }, null, 2)
        : `${resealed} subscriptions encrypted anew, under the key ${first.id}.`,
    );
    if (unreadable.length === 0) return;
    for (const { id, reason } of unreadable.slice(0, MAX_TOLD))
      process.stderr.write(`Subscription ${id} was left as it is: ${reason}.\n`);
    throw new OperatorError(
      `${unreadable.length} subscriptions have secrets that cannot be read. Add the missing key to the end of POSTHORN_ENCRYPTION_KEY, or give them new secrets with rotate-secret.`,
    );
  } finally {
    await pool.end();
    await database.close();
  }
}

const MAX_TOLD = 20;
