import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { freePort } from '../chaos/lib/processes.ts';
import { hasPrograms } from './debian-packages.ts';
import { until } from './until.ts';

const PLACES = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'] as const;
const NOBODY = { uid: 65_534, gid: 65_534 };

/** How PgBouncer gives servers to clients: for a session, a transaction or a statement. */
export type PoolMode = 'session' | 'transaction' | 'statement';

/** Returns where PgBouncer is, after installing it where it can be. Undefined: there is none. */
export function findPgBouncer(): string | undefined {
  const find = () => PLACES.find((path) => existsSync(path));
  if (find() === undefined) hasPrograms([PLACES[0]], ['pgbouncer']);
  return find();
}

/** Runs a PgBouncer in front of a database until the test ends. Returns the database's URL through it. */
export async function startPgBouncer(
  t: Test,
  program: string,
  databaseUrl: string,
  settings: { readonly pool_mode: PoolMode } & Readonly<Record<string, string | number>>,
): Promise<string> {
  const { host, port, user, password, database } = new pg.Client({ connectionString: databaseUrl });
  const listenPort = await freePort();
  const dir = mkdtempSync(join(tmpdir(), 'posthorn-pgbouncer-'));
  const server = { host, port, user, password, dbname: database };
  const target = Object.entries(server)
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => `${name}='${value}'`)
    .join(' ');
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: listenPort,
    unix_socket_dir: '',
    auth_type: 'any',
    ...settings,
  };
  const config = join(dir, 'pgbouncer.ini');
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  writeFileSync(
    config,
    ['[databases]', `${database} = ${target}`, '[pgbouncer]', ...lines, ''].join('\n'),
  );
  chmodSync(dir, 0o755);
  // It refuses to run as root. The owner of Postgres's socket may enter its folder, and others may not.
  const owner = host.startsWith('/') ? statSync(host) : NOBODY;
  const runAs = process.getuid?.() === 0 ? { uid: owner.uid, gid: owner.gid } : {};
  const child = spawn(program, [config], { stdio: ['ignore', 'ignore', 'pipe'], ...runAs });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  t.teardown(async () => {
    await ended(child);
    rmSync(dir, { recursive: true, force: true });
  });
  const url = `postgres://${user}@127.0.0.1:${listenPort}/${database}`;
  await until('PgBouncer listens', () => {
    if (child.exitCode !== null) throw new Error(log);
    return log.includes('process up');
  });
  return url;
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await exit;
}
