import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { type FileHandle, open, readFile, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../../lib/errors.ts';
import { INSTANCE_LOCK } from '../advisory-locks.ts';
import { type Binaries, findBinaries, installedDir } from './binaries.ts';
import { lastLine, prepareCluster, serverEnvironment, USER } from './cluster.ts';
import { lockFolder } from './instance-lock.ts';
import { type Owner, prepareOwner } from './owner.ts';
import { findSocketDir } from './socket.ts';

const DATABASE = 'posthorn';
const READY_TIMEOUT_MS = 60_000;
/** The pause before each try to restart a server that is gone. */
const REVIVE_MS = 500;

/**
 * Settings for a service that shares a small machine with its database: fewer full-page images, no JIT for
 * statements that take a millisecond. Durability settings are Postgres's defaults.
 */
const SERVER_SETTINGS = {
  listen_addresses: '',
  max_connections: '100',
  shared_buffers: '256MB',
  max_wal_size: '4GB',
  checkpoint_timeout: '15min',
  wal_compression: 'on',
  jit: 'off',
  log_line_prefix: '%m [%p] ',
};

export interface EmbeddedPostgres {
  /** Connects over a unix socket that only this user (and root) can reach. */
  readonly url: string;
  /** The data folder with links resolved. */
  readonly dataDir: string;
  /** Stops the server and waits until it has stopped; its data stays. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** Additional settings of the server, for tests. */
  readonly serverSettings?: Record<string, string>;
  /** Called each time that restarting a dead server failed; it is tried again. */
  readonly onNotRevived?: (error: unknown) => void;
  /** Ends the start: nothing is left running then. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Starts the Postgres that npm installed, with its data in `dataDir`, or takes over a server that a killed
 * Posthorn left running there. If root starts Posthorn, the server runs as an unprivileged user, since
 * Postgres refuses to run as root.
 *
 * @throws OperatorError when another Posthorn uses the folder, when the folder belongs to another
 *   major version, or when the server does not start; the message names its log.
 */
export async function startEmbeddedPostgres(
  dataDir: string,
  options: EmbeddedOptions = {},
): Promise<EmbeddedPostgres> {
  // First, so that no folder is created if the programs are missing.
  await installedDir();
  const owner = await prepareOwner(dataDir);
  const release = lockFolder(owner.dataDir);
  if (release === undefined) throw new OperatorError(inUse(dataDir));
  try {
    const { stop, ...running } = await startLocked(owner, dataDir, options);
    return { ...running, stop: () => stop().finally(release) };
  } catch (error) {
    release();
    throw error;
  }
}

async function startLocked(
  owner: Owner,
  dataDir: string,
  { serverSettings = {}, onNotRevived = () => {}, signal }: EmbeddedOptions,
): Promise<EmbeddedPostgres> {
  const binaries = await findBinaries(owner);
  const cluster = join(owner.dataDir, 'postgres');
  const logPath = join(owner.dataDir, 'postgres.log');
  const socketDir = await findSocketDir(owner, cluster);
  const urlOf = (database: string) =>
    `postgresql://${USER}@/${database}?host=${encodeURIComponent(socketDir)}`;

  await prepareCluster(binaries, cluster, owner, signal);

  let child: ChildProcess | undefined;
  let session = await tryConnect(urlOf('postgres'));
  try {
    if (session === undefined) {
      child = await spawnServer(binaries, cluster, socketDir, logPath, owner, serverSettings);
      session = await waitUntilReady(child, urlOf('postgres'), logPath, dataDir, signal);
    }
    await lockInstance(session, dataDir);
    await createDatabaseOnce(session);
  } catch (error) {
    await session?.end().catch(() => {});
    if (child?.pid !== undefined && isRunning(child.pid, child)) await stopServer(cluster, child);
    throw error;
  }
  let stopping = false;
  let revived: Promise<void> = Promise.resolve();
  watchOver(session);

  /** Restarts the server and takes the lock again when the session ends: nothing else would. */
  function watchOver(current: pg.Client): void {
    current.on('error', () => {});
    current.once('end', () => {
      if (!stopping && current === session) revived = revive();
    });
  }

  async function revive(): Promise<void> {
    while (!stopping) {
      await sleep(REVIVE_MS);
      const back = await tryConnect(urlOf('postgres')).catch(() => undefined);
      try {
        if (back !== undefined) {
          watchOver(back);
          await lockInstance(back, dataDir);
          session = back;
          return;
        }
        const pid = child?.pid ?? (await serverPid(cluster));
        if (pid === undefined || !isRunning(pid, child)) {
          child = await spawnServer(binaries, cluster, socketDir, logPath, owner, serverSettings);
        }
      } catch (error) {
        onNotRevived(error);
        await back?.end().catch(() => {});
      }
    }
  }

  return {
    url: urlOf(DATABASE),
    dataDir: owner.dataDir,
    async stop() {
      stopping = true;
      await revived;
      await session?.end().catch(() => {});
      await stopServer(cluster, child);
      // Postgres has removed its socket. Anything else in the folder is not Posthorn's, so it stays.
      await rmdir(socketDir).catch(() => {});
    },
  };
}

async function spawnServer(
  binaries: Binaries,
  cluster: string,
  socketDir: string,
  logPath: string,
  owner: Owner,
  serverSettings: Record<string, string>,
): Promise<ChildProcess> {
  const settings = { ...SERVER_SETTINGS, unix_socket_directories: socketDir, ...serverSettings };
  const log = await openLog(logPath, owner);
  try {
    const child = spawn(
      binaries.postgres,
      [
        '-D',
        cluster,
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      {
        ...owner.identity,
        cwd: cluster,
        env: serverEnvironment(),
        // Ctrl-C goes to the whole process group of a terminal, and the server must outlive Posthorn's shutdown.
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
      },
    );
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    await log.close();
  }
}

async function waitUntilReady(
  child: ChildProcess,
  url: string,
  logPath: string,
  dataDir: string,
  signal: AbortSignal | undefined,
): Promise<pg.Client> {
  const deadline = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    signal?.throwIfAborted();
    const session = await tryConnect(url);
    if (session !== undefined) return session;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
      // Two processes that start at once both find no server, and one loses the race for the pid file.
      await sleep(500);
      const other = await tryConnect(url);
      if (other !== undefined) return other;
      const log = await readFile(logPath, 'utf8').catch(() => '');
      throw new OperatorError(
        /lock file .* already exists/.test(log.slice(-2000))
          ? inUse(dataDir)
          : `The embedded Postgres did not start: ${lastLine(log)} (see ${logPath}).`,
      );
    }
    if (Date.now() > deadline) {
      throw new OperatorError(
        `The embedded Postgres was not ready after ${READY_TIMEOUT_MS / 1000} s; see ${logPath}.`,
      );
    }
    await sleep(25);
  }
}

async function lockInstance(session: pg.Client, dataDir: string): Promise<void> {
  const { rows } = await session.query('select pg_try_advisory_lock($1) as locked', [
    INSTANCE_LOCK,
  ]);
  if (rows[0].locked) return;
  await session.end();
  throw new OperatorError(inUse(dataDir));
}

function inUse(dataDir: string): string {
  return `The data folder ${dataDir} is in use by another Posthorn. Stop that process, or set POSTHORN_DATA_DIR to another folder.`;
}

async function createDatabaseOnce(session: pg.Client): Promise<void> {
  const { rowCount } = await session.query('select from pg_database where datname = $1', [
    DATABASE,
  ]);
  if (rowCount === 0) await session.query(`create database ${DATABASE}`);
}

async function stopServer(cluster: string, child: ChildProcess | undefined): Promise<void> {
  const pid = child?.pid ?? (await serverPid(cluster));
  if (pid === undefined) return;
  try {
    process.kill(pid, 'SIGINT'); // Postgres calls this "fast shutdown": sessions are ended, data is synced.
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error;
  }
  while (isRunning(pid, child)) await sleep(20);
}

async function serverPid(cluster: string): Promise<number | undefined> {
  const text = await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '');
  const pid = Number.parseInt(text, 10);
  return Number.isNaN(pid) ? undefined : pid;
}

function isRunning(pid: number, child: ChildProcess | undefined): boolean {
  if (child !== undefined) return child.exitCode === null && child.signalCode === null;
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function tryConnect(url: string): Promise<pg.Client | undefined> {
  const client = new pg.Client({ connectionString: url, application_name: 'posthorn embedded' });
  client.on('error', () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    // 57P03: the server is starting up or shutting down.
    if (['ENOENT', 'ECONNREFUSED', '57P03', 'ECONNRESET'].includes(errorCode(error) ?? ''))
      return undefined;
    if (/terminated unexpectedly/.test(errorMessage(error))) return undefined;
    throw error;
  }
}

/** Opens the log. A new one is given to the server's user, who may start Posthorn the next time. */
async function openLog(logPath: string, { identity: { uid, gid } }: Owner): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  try {
    const log = await open(logPath, O_WRONLY | O_APPEND | O_CREAT | O_EXCL, 0o600);
    if (uid !== undefined && gid !== undefined) await log.chown(uid, gid);
    return log;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    // Without O_NOFOLLOW, root would write to the target of a link.
    return await open(logPath, O_WRONLY | O_APPEND | O_NOFOLLOW);
  }
}
