import { Command } from 'commander';
import { loadAdminKey } from '../config/settings.ts';
import { ENVIRONMENTS } from '../keys/format.ts';
import { SCOPES } from '../keys/scopes.ts';
import type { Key } from '../keys/store.ts';
import { parseDuration } from '../lib/duration.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, type Target } from './call.ts';

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

/** Gives, shows and takes away the keys of a running Posthorn. */
export function apiKeyCommands(): Command[] {
  const create = new Command('create')
    .description('make a key and print it, this once')
    .requiredOption('--scopes <scopes>', `${SCOPES.join(', ')}: one, or several with commas`)
    .option('--tenant <tenant>', 'whose things it may see (default: default; none with admin)')
    .option('--name <name>', 'what it is for')
    .option('--environment <environment>', ENVIRONMENTS.join(' or '))
    .option('--expires <duration>', 'how long it is good for, such as 90d (default: for ever)')
    .action(createKey);
  const list = new Command('list')
    .description('list the keys that were not revoked')
    .option('--tenant <tenant>', 'of this tenant alone')
    .action(listKeys);
  const revoke = new Command('revoke')
    .description('refuse a key from now on')
    .argument('<id>', 'as the list has it')
    .action(revokeKey);
  return [create, list, revoke].map((command) =>
    command
      .option('--url <url>', 'where Posthorn is', 'http://127.0.0.1:5000')
      .option('--key <key>', 'a key with the scope admin (default: POSTHORN_ADMIN_KEY)'),
  );
}

/** Who gives no key shows the admin key, if there is one. */
function targetOf({ url, key = loadAdminKey() }: Target): Target {
  return { url, key };
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
  const text = await call(targetOf(options), {
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
    const text = await call(targetOf(options), { method: 'GET', path: `/v1/keys?${query}` });
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

async function revokeKey(id: string, options: Target): Promise<void> {
  await call(targetOf(options), { method: 'DELETE', path: `/v1/keys/${encodeURIComponent(id)}` });
  process.stdout.write(`Key ${id} is refused from now on.\n`);
}
