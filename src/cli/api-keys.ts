import { Command } from 'commander';
import { ENVIRONMENTS } from '../keys/format.ts';
import { SCOPES } from '../keys/scopes.ts';
import type { Key } from '../keys/store.ts';
import { parseDuration } from '../lib/duration.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, callPages, callsService, idArgument, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { printAnswer, table } from './output.ts';

interface CreateOptions extends Target {
  readonly scopes: string;
  readonly name?: string;
  readonly environment?: string;
  readonly expires?: string;
}

/** A key as the API writes it. */
type WrittenKey = {
  [Field in keyof Key]: Key[Field] extends Date | null ? string | null : Key[Field];
};

/** The commands that create, list and revoke keys of a running Posthorn. */
export function apiKeyCommands(): Command[] {
  const create = new Command('create')
    .description('create a key and print it; it cannot be printed again')
    .requiredOption('--scopes <scopes>', `${SCOPES.join(', ')}; several with commas`)
    .option('--name <name>', 'a name, to recognize the key by')
    .option('--environment <environment>', ENVIRONMENTS.join(' or '))
    .option('--expires <duration>', 'the time until it expires, such as 90d (default: never)')
    .action(createKey);
  const list = new Command('list')
    .description('list the keys that are not revoked')
    .action(listKeys);
  const revoke = new Command('revoke')
    .description('revoke a key')
    .argument(
      '<id>',
      'id of the key, as in the list',
      idArgument('id', 'as posthorn keys list shows'),
    )
    .action(revokeKey);
  return [create, list, revoke].map((command) => callsService(command, 'admin'));
}

async function createKey(options: CreateOptions): Promise<void> {
  const { scopes, tenant, name, environment, expires } = options;
  const fields = {
    scopes: scopes.split(',').map((scope) => scope.trim()),
    tenant,
    name,
    environment,
    expires_at: expires === undefined ? undefined : readExpiry(expires),
  };
  const created = await call<WrittenKey & { key: string }>(
    { ...options, tenant: undefined },
    { method: 'POST', path: '/v1/keys', body: fields },
  );
  printAnswer(options, created, ({ key }) => key);
  process.stderr.write(`This is key ${created.id}. It is not shown again.\n`);
}

function readExpiry(duration: string): string {
  try {
    return new Date(Date.now() + parseDuration(duration)).toISOString();
  } catch (error) {
    throw new OperatorError(`--expires: ${errorMessage(error)}`, { exitCode: EXIT.usage });
  }
}

async function listKeys(options: Target): Promise<void> {
  const keys = await callPages<WrittenKey>(options, { method: 'GET', path: '/v1/keys' });
  printAnswer(options, keys, () =>
    table([
      ['id', 'key', 'tenant', 'scopes', 'last used', 'expires', 'name'],
      ...keys.map((key) => [
        String(key.id),
        `${key.hint}…`,
        key.tenant ?? '(all)',
        key.scopes.join(','),
        key.last_used_at ?? 'never',
        key.expires_at ?? 'never',
        key.name ?? '',
      ]),
    ]),
  );
}

async function revokeKey(id: number, options: Target): Promise<void> {
  const key = await call<WrittenKey>(options, { method: 'DELETE', path: `/v1/keys/${id}` });
  printAnswer(options, key, () => `Key ${id} is revoked.`);
}
