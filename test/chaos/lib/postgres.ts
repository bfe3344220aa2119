import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, openSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { findBinaries } from '#src/db/embedded/binaries.ts';
import { prepareOwner } from '#src/db/embedded/owner.ts';
import { until } from '../../helpers/until.ts';
import type { Host } from './hosts.ts';
import { ended, freePort } from './processes.ts';
import type { Run } from './scenario.ts';

export interface PostgresOptions {
  readonly dir?: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** A folder with `initdb` and `postgres`. Without it, the embedded ones. */
  readonly binDir?: string;
  /** Use what is in `dir`, such as a base backup. */
  readonly existing?: boolean;
  /** `none` creates no database, because a restore creates it. */
  readonly database?: 'empty' | 'none';
  /** Where it listens besides the loopback address. */
  readonly address?: string;
  /** The host that it runs on, and listens on alone; this machine must reach it. */
  readonly host?: Pick<Host, 'address' | 'through'>;
}

/** A server of the scenario's own, on TCP, that can be ended in every way. */
export interface Postgres {
  readonly url: string;
  readonly port: number;
  readonly cluster: string;
  readonly identity: { readonly uid?: number; readonly gid?: number };
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>;
  start(): Promise<void>;
  /** Ends it as a crash would: no checkpoint, sessions cut off. */
  stopImmediately(): Promise<void>;
  /** Returns true if it accepts connections. */
  isUp(): Promise<boolean>;
  readonly pid: number | undefined;
}

/** Starts a Postgres that ends with the scenario. */
export async function startPostgres(run: Run, options: PostgresOptions = {}): Promise<Postgres> {
  const dir = options.dir ?? join(run.dir, 'postgres');
  const owner = await prepareOwner(dir);
  const found = await findBinaries(owner);
  const program = (name: 'initdb' | 'postgres') =>
    options.binDir === undefined ? found[name] : join(options.binDir, name);
  const cluster = join(owner.dataDir, 'postgres');
  const port = await freePort();
  const { host } = options;
  const url = `postgresql://posthorn@${host?.address ?? '127.0.0.1'}:${port}/posthorn`;
  if (!existsSync(join(cluster, 'PG_VERSION'))) {
    const made = spawnSync(
      program('initdb'),
      [
        `--pgdata=${cluster}`,
        '--username=posthorn',
        '--auth=trust',
        '--encoding=UTF8',
        '--locale=C',
      ],
      { ...owner.identity, cwd: owner.dataDir, encoding: 'utf8' },
    );
    if (made.status !== 0) throw new Error(`initdb: ${made.stderr}`);
    appendFileSync(join(cluster, 'pg_hba.conf'), 'host all all 10.231.0.0/16 trust\n');
  }
  const { uid, gid } = owner.identity;
  if (uid !== undefined && gid !== undefined) await chown(cluster, uid, gid);
  const settings = {
    listen_addresses: host?.address ?? ['127.0.0.1', options.address].filter(Boolean).join(','),
    port: String(port),
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '128MB',
    jit: 'off',
    ...options.settings,
  };
  const log = openSync(join(owner.dataDir, 'postgres.log'), 'a');
  let child: ChildProcess | undefined;

  async function connect(database = 'posthorn'): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: url.replace(/posthorn$/, database),
      connectionTimeoutMillis: 10_000,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return client;
    } catch (error) {
      client.end().catch(() => {});
      throw error;
    }
  }

  async function isUp(): Promise<boolean> {
    try {
      const client = await connect('postgres');
      await client.end();
      return true;
    } catch {
      return false;
    }
  }

  async function start(): Promise<void> {
    const asOwner = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
    const [command = '', ...args] = [
      // Only root enters a host, and becomes Postgres' user there.
      ...(host === undefined ? [] : [...host.through, ...(uid === undefined ? [] : asOwner)]),
      program('postgres'),
      '-D',
      cluster,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    child = spawn(command, args, {
      ...(host === undefined ? owner.identity : {}),
      cwd: owner.dataDir,
      env: { LC_ALL: 'C', TZ: 'UTC' },
      stdio: ['ignore', log, log],
    });
    await until('Postgres is ready', isUp);
  }

  async function stopImmediately(): Promise<void> {
    if (child === undefined) return;
    child.kill('SIGQUIT');
    await ended(child);
    child = undefined;
  }

  run.onEnd(stopImmediately);
  await start();
  if (options.existing !== true && options.database !== 'none') {
    const client = await connect('postgres');
    await client.query('create database posthorn');
    await client.end();
  }
  let asking: pg.Client | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  async function ask<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
    asking ??= await connect();
    try {
      return (await asking.query<Row>(text, values)).rows;
    } catch (error) {
      asking.end().catch(() => {});
      asking = undefined;
      throw error;
    }
  }

  run.onEnd(() => asking?.end().catch(() => {}));
  return {
    url,
    port,
    cluster,
    identity: owner.identity,
    query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
      // In sequence, because there is only one connection.
      const answer = turn.then(() => ask<Row>(text, values));
      turn = answer.catch(() => {});
      return answer;
    },
    start,
    stopImmediately,
    isUp,
    get pid() {
      return child?.pid;
    },
  };
}
