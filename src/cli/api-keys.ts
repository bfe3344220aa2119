import { Command } from 'commander';
import { ENVIRONMENTS } from '../keys/format.ts';
import { SCOPES } from '../keys/scopes.ts';
import type { Key } from '../keys/store.ts';
import { parseDuration } from '../lib/duration.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, idArgument, type Target, URL_OPTION } from './call.ts';

interface CreateOptions extends Target {
  readonly scopes: string;
  readonly tenant?: string;
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
    .option(
      '--tenant <tenant>',
      'the tenant that the key is limited to (default: default; not with admin)',
    )
    .option('--name <name>', 'a name, to recognize the key by')
    .option('--environment <environment>', ENVIRONMENTS.join(' or '))
    .option('--expires <duration>', 'the time until it expires, such as 90d (default: never)')
    .action(createKey);
  const list = new Command('list')
    .description('list the keys that are not revoked')
    .option('--tenant <tenant>', 'only keys of this tenant')
    .action(listKeys);
  const revoke = new Command('revoke')
    .description('revoke a key')
    .argument(
      '<id>',
      'id of the key, as in the list',
      idArgument('id', 'as posthorn keys list shows'),
    )
    .action(revokeKey);
  return [create, list, revoke].map((command) =>
    command
      .option(...URL_OPTION)
      .option('--key <key>', 'a key with the scope admin (default: POSTHORN_ADMIN_KEY)'),
  );
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
  const text = await call(options, {
    method: 'POST',
    path: '/v1/keys',
    body: Buffer.from(JSON.stringify(fields)),
  });
  const { key, id } = JSON.parse(text) as WrittenKey & { key: string };
  process.stdout.write(`${key}\n`);
  process.stderr.write(`This is key ${id}. It is not shown again.\n`);
}

function readExpiry(duration: string): string {
  try {
    return new Date(Date.now() + parseDuration(duration)).toISOString();
  } catch (error) {
    throw new OperatorError(`--expires: ${errorMessage(error)}`);
  }
}

async function listKeys(options: Target & { readonly tenant?: string }): Promise<void> {
  const query = new URLSearchParams({
    limit: '1000',
    ...(options.tenant === undefined ? {} : { tenant: options.tenant }),
  });
  const keys: WrittenKey[] = [];
  for (;;) {
    const text = await call(options, { method: 'GET', path: `/v1/keys?${query}` });
    const page = JSON.parse(text) as { data: WrittenKey[]; next_cursor: string | null };
    keys.push(...page.data);
    if (page.next_cursor === null) break;
    query.set('cursor', page.next_cursor);
  }
  const rows = [
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
  ];
  const widths = (rows[0] as string[]).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] as string).length)),
  );
  for (const row of rows) {
    const line = row.map((cell, column) => cell.padEnd(widths[column] as number)).join('  ');
    process.stdout.write(`${line.trimEnd()}\n`);
  }
}

async function revokeKey(id: number, options: Target): Promise<void> {
  await call(options, { method: 'DELETE', path: `/v1/keys/${id}` });
  process.stdout.write(`Key ${id} is revoked.\n`);
}
