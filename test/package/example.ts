// The examples for fastify and Nest, run with the installed package, and compiled against its types.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { startProgram } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { run } from '../helpers/packages.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { findCompiler } from '../helpers/typescript.ts';
import { until } from '../helpers/until.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SOURCE = join(ROOT, 'examples', 'fastify', 'main.ts');
/** What the example for Nest needs besides. An application installs it, and here it is that of the checkout. */
const NEST = ['@nestjs', 'reflect-metadata', 'rxjs'];

/** Copies the example into a folder in which the package is installed. */
export function copyExample(folder: string): string {
  const path = join(folder, 'main.ts');
  cpSync(SOURCE, path);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  return path;
}

/** Compiles the example as an application would, strictly. */
export async function compilesAgainstTypes(path: string, folder: string): Promise<string> {
  const compiler = await findCompiler();
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext'];
  return await run([compiler, ...flags, '--target', 'es2024', '--types', 'node', path], folder);
}

/**
 * Compiles the example for Nest, whose decorators Node cannot run, in the folder in which the package is installed.
 *
 * @returns the path of the program.
 */
export async function buildNestExample(folder: string): Promise<string> {
  const example = join(folder, 'nest');
  cpSync(join(ROOT, 'examples', 'nest'), example, { recursive: true });
  // In a folder of its own: npm would remove from the other what it has not installed, through the links.
  const modules = join(example, 'node_modules');
  mkdirSync(modules);
  for (const name of NEST) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  await run([await findCompiler(), '--project', '.'], example);
  return join(example, 'dist', 'main.js');
}

/** Runs an example: a stored order is sent, and one that is not stored is not. */
export async function sendsStoredOrders(t: Test, path: string, folder: string): Promise<void> {
  const receiver = await startReceiver(t);
  const DATABASE_URL = await createTestDatabase(t, { migrated: false });
  const shop = startProgram(t, [process.execPath, path], { DATABASE_URL, PORT: '0' }, folder);
  const urls = await until('it says where it listens', () => {
    if (shop.child.exitCode !== null) throw new Error(`it ended: ${shop.output.stderr}`);
    return /orders at (\S+), Posthorn at (\S+)/.exec(shop.output.stdout);
  });
  const [, orders = '', posthorn = ''] = urls;
  const post = async (url: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    return await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  };
  const subscription = { url: receiver.url, event_types: ['order.*'], generate_secret: true };
  t.equal((await post(`${posthorn}/v1/subscriptions`, subscription)).status, 201);
  t.equal((await post(`${orders}/orders`, { total: -1 })).status, 500, 'the table refuses it');
  const stored = await post(`${orders}/orders`, { total: 12.5 });
  t.equal(stored.status, 201);
  const { id, webhook_id } = (await stored.json()) as { id: number; webhook_id: string };
  const [request] = await receiver.waitFor(1);
  t.equal(request?.headers['webhook-id'], webhook_id);
  const { type, data } = JSON.parse(String(request?.body));
  t.same({ type, data }, { type: 'order.created', data: { id, total: 12.5 } });
  shop.kill('SIGTERM');
  t.equal(await shop.exited, 0, shop.output.stderr);
}
