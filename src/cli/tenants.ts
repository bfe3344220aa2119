import { Command } from 'commander';
import { call, callPages, callsService, type Target } from './call.ts';
import { printAnswer, safe, table, time } from './output.ts';
import { moveTenantCommand } from './tenants-move.ts';

interface Tenant {
  readonly id: string;
  readonly name: string | null;
  readonly retention: string | null;
  readonly created_at: string;
}

/** `posthorn tenants`: manages the tenants of a running Posthorn. */
export function tenantsCommand(): Command {
  const command = new Command('tenants')
    .description('manage the tenants of a running Posthorn')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn tenants create acme --name 'Acme Inc.'
  $ posthorn tenants list
  $ POSTHORN_TARGET_URL=postgres://… posthorn tenants move acme --to db2`,
    );
  const list = new Command('list').description('list the tenants').action(listTenants);
  const get = new Command('get')
    .description('show a tenant')
    .argument('<id>', 'id of the tenant')
    .action(getTenant);
  const create = new Command('create')
    .description('create a tenant')
    .argument('<id>', 'letters, digits, and -_.:@')
    .option('--name <name>', 'a name for people')
    .option('--retention <duration>', 'how long its bodies are kept, such as 7d')
    .action(createTenant);
  const remove = new Command('delete')
    .description('delete a tenant, with its subscriptions and keys')
    .argument('<id>', 'id of the tenant')
    .action(deleteTenant);
  for (const one of [list, get, create, remove]) command.addCommand(callsService(one, 'admin'));
  return command.addCommand(moveTenantCommand());
}

const pathOf = (id: string) => `/v1/tenants/${encodeURIComponent(id)}`;

function rowsOf(tenants: readonly Tenant[]): string {
  return table([
    ['id', 'name', 'retention', 'created'],
    ...tenants.map(({ id, name, retention, created_at }) => [
      safe(id),
      safe(name ?? ''),
      retention ?? '',
      time(created_at),
    ]),
  ]);
}

async function listTenants(target: Target): Promise<void> {
  const tenants = await callPages<Tenant>(target, { method: 'GET', path: '/v1/tenants' });
  printAnswer(target, tenants, rowsOf);
}

async function getTenant(id: string, target: Target): Promise<void> {
  const tenant = await call<Tenant>(target, { method: 'GET', path: pathOf(id) });
  printAnswer(target, tenant, (tenant) => rowsOf([tenant]));
}

async function createTenant(
  id: string,
  { name, retention, ...target }: Target & { readonly name?: string; readonly retention?: string },
): Promise<void> {
  const tenant = await call<Tenant>(target, {
    method: 'POST',
    path: '/v1/tenants',
    body: { id, name, retention },
  });
  printAnswer(target, tenant, (tenant) => rowsOf([tenant]));
}

async function deleteTenant(id: string, target: Target): Promise<void> {
  const answer = await call<unknown>(target, { method: 'DELETE', path: pathOf(id) });
  printAnswer(target, answer ?? { id, deleted: true }, () => `The tenant ${safe(id)} is deleted.`);
}
